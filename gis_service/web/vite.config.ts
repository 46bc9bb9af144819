import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// While the page is worked on, everything but the page itself is asked of a running service.
const service = process.env['GIS_SERVICE'] ?? 'http://127.0.0.1:8000';
const served = [
  '/catalog', '/styles', '/tiles', '/identify', '/samples', '/submission-form',
  '/ogc', '/reports', '/codes',
];

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // MapLibre alone is past Vite's default of 500 kB; it is loaded after the page is drawn.
    chunkSizeWarningLimit: 1300,
    // The worker of MapLibre is a file of its own: a blob worker would need a wider policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        // `.js`, since not every web server knows the type of `.mjs`.
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith('.mjs'))
            ? 'assets/[name]-[hash].js'
            : 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: { proxy: Object.fromEntries(served.map((path) => [path, service])) },
  test: { include: ['src/**/*.test.ts'] },
});
