import t from 'tap';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { flipWhileServing } from '../soak/served-flips.ts';
import { workDirOf } from '../support/work-dir.ts';

const seed = Number(process.env['TEST_SEED'] ?? 20_260);
const transports = ['plain', ...(isHotpathBuilt() ? ['hotpath' as const] : [])] as const;

for (const transport of transports) {
  t.test(`bits that flip on the device never reach a client of the ${transport} transport`, async (t) => {
    const { answerCount, corruptCount, flipCount, tableCount } = await flipWhileServing({
      dir: workDirOf(t),
      transport,
      seed,
      rounds: 2,
    });
    t.comment(
      `seed ${seed}: ${flipCount} flips, ${corruptCount} bad pages, ${answerCount} answers, ${tableCount} by the table`,
    );
    t.ok(corruptCount > 0, 'some are found');
    if (transport === 'hotpath') t.ok(tableCount > answerCount / 4, 'and much is answered by the table');
  });
}
