/** The floors of ARCHITECTURE.md as rules: imports go down or sideways inside a folder, never up. Checked by scripts/check-floors.ts. */

const { floors } = require('./scripts/floors.cjs');

const inFolders = (paths) => `^(${paths.map((path) => `${path}/`).join('|')})`;

const floorRules = floors.map(({ floor, path, beside }) => ({
  name: `floor-${floor}-${path.split('/src')[0].slice('packages/'.length)}${path.split('/src')[1]}`,
  comment: 'Imports go down or sideways inside a folder, never up.',
  severity: 'error',
  from: { path: `^${path}/` },
  to: {
    path: '^packages/',
    pathNot: inFolders([
      path,
      ...beside,
      ...floors.filter((other) => other.floor < floor).map((other) => other.path),
    ]),
  },
}));

/** Surfaces are pure: what they need comes through the floor below. Types cross freely. */
const surfaceRule = {
  name: 'surfaces-touch-no-storage',
  comment: 'A surface never touches a page store, an under storage or the state store.',
  severity: 'error',
  from: { path: '^packages/(worker/src/(s3|http|rest)|coordinator/src/http)/' },
  to: {
    path: '^packages/(worker/src/page-store|ufs-adapters/src|common/src/state)/',
    dependencyTypesNot: ['type-only'],
  },
};

module.exports = {
  forbidden: [
    ...floorRules,
    surfaceRule,
    {
      name: 'coordinator-and-worker-are-strangers',
      comment: 'They share common/protocol and nothing else.',
      severity: 'error',
      from: { path: '^packages/(coordinator|worker)/src/' },
      to: { path: '^packages/(coordinator|worker)/src/', pathNot: '^packages/$1/' },
    },
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true, dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)node_modules/(?!@alluxio-ts)' },
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
    preserveSymlinks: false,
  },
};
