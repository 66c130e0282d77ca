/** What a cluster promises while packets between its hosts are lost; `npm run soak -- --only partitions` does it over and over. */

import t from 'tap';
import { requireForOwnNetwork } from '../support/host-cluster-needs.ts';
import { runInOwnNetwork } from '../support/test-network.ts';
import { workDirOf } from '../support/work-dir.ts';

const script = new URL('../soak/partitions.ts', import.meta.url);
await requireForOwnNetwork();
const { code, lines, errors } = await runInOwnNetwork(script, ['--dir', workDirOf(t, {})]);
for (const line of lines) t.pass(line);
t.equal(code, 0, errors);
t.equal(lines.length, 8, 'every partition was there');
