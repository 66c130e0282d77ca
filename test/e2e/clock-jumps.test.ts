/** What a cluster promises while the wall clocks of its members jump. */

import t from 'tap';
import { requireForOwnNetwork } from '../support/host-cluster-needs.ts';
import { runInOwnNetwork } from '../support/test-network.ts';
import { workDirOf } from '../support/work-dir.ts';

const script = new URL('../soak/clock-jumps.ts', import.meta.url);
const args = ['--dir', workDirOf(t, {}), '--jumps', '+1h,-1d'];
await requireForOwnNetwork();
const { code, lines, errors } = await runInOwnNetwork(script, args);
for (const line of lines) t.pass(line);
t.equal(code, 0, errors);
t.equal(lines.length, 10, 'every jump was there');
