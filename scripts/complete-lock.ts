/**
 * Adds to package-lock.json the packages for other platforms that npm left out. npm writes a lock without an optional package that the registry
 * at hand does not offer, and `npm ci` then refuses the lock as out of step with the manifests. Run it after `npm install` when `npm ci` complains.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const lockSchema = z.looseObject({
  packages: z.record(
    z.string(),
    z.looseObject({
      dev: z.boolean().optional(),
      optionalDependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];

/** What the name of a platform package says of where it belongs: `binding-linux-x64-musl`. */
function platformOf(name: string): Readonly<Record<string, readonly string[]>> | undefined {
  const words = name.split(/[/-]/);
  const system = systems.find((each) => words.includes(each));
  const processor = processors.find((each) => words.includes(each));
  if (!system || !processor) return undefined;
  const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : undefined;
  return { cpu: [processor], os: [system], ...(libc ? { libc } : {}) };
}

const file = new URL('../package-lock.json', import.meta.url);
const lock = lockSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
let addedCount = 0;
for (const [place, entry] of Object.entries(lock.packages)) {
  if (!place.includes('node_modules/')) continue;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const platform = platformOf(name);
    const key = `node_modules/${name}`;
    if (!platform || lock.packages[key] || !/^\d/.test(version)) continue;
    lock.packages[key] = { version, ...platform, ...(entry.dev ? { dev: true } : {}), optional: true };
    addedCount++;
  }
}
const sorted = Object.entries(lock.packages).toSorted(([one], [other]) => (one < other ? -1 : 1));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
console.log(`${addedCount} packages for other platforms added`);
