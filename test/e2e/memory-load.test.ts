/** The short version of `npm run soak -- --only memory`. */

import t from 'tap';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { checkMemory, holdMemory } from '../soak/memory-load.ts';
import { workDirOf } from '../support/work-dir.ts';

const streamCount = 200;
const seconds = 12;

if (!isHotpathBuilt()) t.pass('the addon was not built: there is no cargo here');
for (const transport of isHotpathBuilt() ? (['plain', 'hotpath'] as const) : (['plain'] as const)) {
  t.test(`${transport}: slow readers and fills without a pause stay within the memory sum`, async (t) => {
    const dir = workDirOf(t, {});
    const load = await holdMemory({
      dir,
      transport,
      streamCount,
      seconds,
      report: (line) => t.comment(line),
    });
    t.pass(checkMemory(load));
  });
}
