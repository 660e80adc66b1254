import { defineConfig, mergeConfig } from 'vitest/config';
import page from './vite.config.ts';

// Apart from the page's own, as a build installs no tests.
export default mergeConfig(
  page,
  defineConfig({
    test: {
      include: ['src/**/*.test.ts'],
      environment: 'node',
      // Svelte's runes run in modules, too, as they do in the browser.
      server: { deps: { inline: [/svelte/] } },
    },
  }),
);
