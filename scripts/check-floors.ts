/** Holds the imports of packages/ against the floors in .dependency-cruiser.cjs. Fails when nothing was cruised: a check of nothing is none. */

import { cruise } from 'dependency-cruiser';
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const options = await extractOptions('./.dependency-cruiser.cjs');
const { output } = await cruise(['packages'], options, undefined, {
  tsConfig: extractTsConfig('./tsconfig.json'),
});
if (typeof output === 'string') throw new Error('dependency-cruiser gave a text');
const { summary } = output;
const crossings = output.modules
  .flatMap((module) => module.dependencies)
  .filter((dependency) => dependency.resolved.startsWith('packages/'));
for (const violation of summary.violations) {
  console.error(`${violation.rule.name}: ${violation.from} → ${violation.to}`);
}
if (summary.totalCruised === 0 || crossings.length === 0) {
  console.error('no module of packages/ was cruised: the check saw nothing');
  process.exitCode = 1;
} else if (summary.error > 0) {
  process.exitCode = 1;
} else {
  console.log(`floors hold: ${summary.totalCruised} modules, ${crossings.length} imports`);
}
