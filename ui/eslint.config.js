import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

export default ts.config(
  { ignores: ['.svelte-kit', 'built', 'src/lib/api/schema.d.ts'] },
  ...ts.configs.strict,
  ...ts.configs.stylistic,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      'no-console': 'error',
      eqeqeq: 'error',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      // What people and models wrote is never read as HTML, and the page's policy drops styles
      // that stand in attributes.
      'svelte/no-at-html-tags': 'error',
      'svelte/no-inline-styles': ['error', { allowTransitions: true }],
      'svelte/block-lang': ['error', { script: 'ts' }],
      'svelte/button-has-type': 'error',
      'svelte/require-each-key': 'error',
      'svelte/no-target-blank': 'error',
      'svelte/no-navigation-without-resolve': 'off',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  {
    // HTML of generators that we pin, made of escaped text: KaTeX and highlight.js.
    files: ['src/lib/markdown/Code.svelte', 'src/lib/markdown/Formula.svelte'],
    rules: { 'svelte/no-at-html-tags': 'off' },
  },
  {
    files: ['src/lib/words/**/*.ts'],
    // French and German sentences have no-break spaces.
    rules: { 'max-lines': 'off', 'no-irregular-whitespace': ['error', { skipTemplates: true }] },
  },
  { files: ['build/**', '*.config.*'], languageOptions: { globals: { ...globals.node } } },
);
