import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Plugin } from 'vite';

interface Package {
  name: string;
  version: string;
  license: string;
  text: string;
}

/** Write `LICENSES.txt`: whose work is in the page, and on which terms. */
export function licenses(): Plugin {
  return {
    name: 'licenses',
    apply: 'build',
    applyToEnvironment: (environment) => environment.name === 'client',
    generateBundle(_options, bundle) {
      const files = new Set<string>();
      for (const output of Object.values(bundle)) {
        const sources = output.type === 'chunk' ? output.moduleIds : output.originalFileNames;
        for (const source of sources) files.add(source);
      }
      const packages = new Map<string, Package>();
      for (const file of files) {
        const found = packageOf(file);
        if (found) packages.set(`${found.name} ${found.version}`, found);
      }
      const sorted = [...packages.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      const source = sorted.map(format).join(`\n${'-'.repeat(80)}\n`);
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source });
    },
  };
}

function packageOf(file: string): Package | undefined {
  const path = file.replace(/^\0+/, '').replace(/\?.*$/, '');
  const found = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path);
  if (!found || !existsSync(join(found[0], 'package.json'))) return undefined;
  const root = found[0];
  const { name, version, license } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as Record<string, string>;
  const texts = readdirSync(root).filter((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text = texts.map((entry) => readFileSync(join(root, entry), 'utf8').trim()).join('\n\n');
  if (!name || !(license || text)) throw new Error(`${dirname(path)} has no licence`);
  return { name, version: version ?? '', license: license ?? '', text };
}

function format({ name, version, license, text }: Package): string {
  return `${name} ${version}\n${license}\n\n${text}\n`;
}
