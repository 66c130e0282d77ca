/** The floors, as .dependency-cruiser.cjs enforces them and ARCHITECTURE.md shows them. */

/** Floor 4 is the surfaces, 1 the ground. A folder may import folders of a lower floor, itself, and what `beside` names. */
const floors = [
  { floor: 1, path: 'packages/common/src', beside: [] },
  { floor: 2, path: 'packages/ufs-adapters/src', beside: [] },
  { floor: 2, path: 'packages/transport/src', beside: [] },
  { floor: 2, path: 'packages/worker/src/page-store', beside: ['packages/transport/src'] },
  { floor: 2, path: 'packages/worker/src/file-records', beside: ['packages/ufs-adapters/src'] },

  { floor: 3, path: 'packages/worker/src/cache', beside: [] },
  { floor: 3, path: 'packages/worker/src/cluster', beside: ['packages/worker/src/cache'] },
  { floor: 3, path: 'packages/worker/src/load', beside: ['packages/worker/src/cache'] },
  { floor: 3, path: 'packages/coordinator/src/control', beside: [] },
  { floor: 4, path: 'packages/worker/src/http', beside: [] },
  { floor: 4, path: 'packages/worker/src/s3', beside: ['packages/worker/src/http'] },
  { floor: 4, path: 'packages/worker/src/rest', beside: ['packages/worker/src/http'] },
  { floor: 4, path: 'packages/worker/src/web', beside: [] },
  { floor: 4, path: 'packages/coordinator/src/http', beside: [] },
];

module.exports = { floors };
