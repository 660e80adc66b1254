import adapter from '@sveltejs/adapter-static';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';
import { licenses } from './build/licenses.ts';

// scripts/ui sets both: a hash of the sources, and where the page goes.
const version = process.env.CHATVAULT_UI_VERSION ?? 'development';
const pages = process.env.CHATVAULT_UI_OUT ?? 'built';
const service = process.env.CHATVAULT_UI_SERVICE ?? 'http://localhost:8000';

// The style attribute that Kit's route announcer is made with.
const ANNOUNCER = 'sha256-S8qMpvofolR8Mpjy4kQvEm7m1q8clzU4dfDH0AmvZjo=';

// What belongs to the service while `scripts/ui dev` runs; the rest is the page.
const API = [
  'admin',
  'agents',
  'auth',
  'categories',
  'chat',
  'conversations',
  'docs',
  'exports',
  'health',
  'imports',
  'links',
  'mcp',
  'model',
  'openapi.json',
  'ready',
  'search',
  'tags',
  'ui',
  'users',
];

// What each page of somebody who is signed in needs is one file: by HTTP/1.1 a file costs a wait.
// Dialogs are apart: they are loaded when the first one opens.
const SHELL = {
  name: 'shell',
  test: /ui\/src\/(lib\/(api|composer|parts|shell|sidebar|state|store|words\/(en|index|language|problems|translated))|routes\/\(app\)\/\+layout)(?!.*(Dialog|SignInAgain|Conflict|PagedTable|Filters|Bars|Tabs|Confirm|CopyButton|Field|FileList|Gate|Loader|PageFrame|Switch|events|pages\.svelte))/,
};

export default defineConfig({
  plugins: [
    sveltekit({
      adapter: adapter({ pages, fallback: 'index.html' }),
      version: { name: version, pollInterval: 10 * 60 * 1000 },
      csp: {
        mode: 'hash',
        directives: {
          'default-src': ['none'],
          'script-src': ['self'],
          'style-src': ['self'],
          'style-src-attr': ['unsafe-hashes', ANNOUNCER],
          'img-src': ['self', 'data:', 'blob:'],
          'font-src': ['self'],
          'connect-src': ['self'],
          'worker-src': ['self'],
          'manifest-src': ['self'],
          'base-uri': ['none'],
          'form-action': ['self'],
        },
      },
    }),
    licenses(),
  ],
  // No asset inside another: fonts and pictures are files, as the policy wants.
  build: {
    assetsInlineLimit: 0,
    sourcemap: false,
    target: 'es2022',
    rolldownOptions: { output: { codeSplitting: { groups: [SHELL] } } },
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(API.map((name) => [`^/${name}(/|\\?|$)`, { target: service }])),
  },
});
