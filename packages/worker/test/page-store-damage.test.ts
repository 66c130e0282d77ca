import t from 'tap';
import { damageStore } from './page-store-damage.ts';
import { killSizeBytes, killStore } from './page-store-kill.ts';

const seed = Number(process.env['TEST_SEED'] ?? 20_260);

void t.test('damage to the files never gives a wrong byte', async (t) => {
  const counts = await damageStore({ dir: t.testdir(), seed, count: 300, pageCount: 30 });
  t.comment(`seed ${seed}: ${JSON.stringify(counts)}`);
  t.equal(counts.wrong, 0);
  t.ok(counts.corrupt > 20, 'much of it is found while reading');
  t.ok(counts.miss > 20, 'and at the start');
  t.ok(counts.right > counts.corrupt + counts.miss, 'and most pages survive');
});

void t.test('a process that is killed leaves right pages within the bound', async (t) => {
  const counts = await killStore({ dir: t.testdir(), seed, count: 10 });
  t.comment(`seed ${seed}: ${JSON.stringify(counts)}`);
  t.equal(counts.wrong, 0);
  t.equal(counts.corrupt, 0, 'a page that was not finished is not there at all');
  t.ok(counts.right > 500, 'what was finished is found again');
  t.ok(counts.evictedCount > 100, 'the process was evicting');
  t.ok(counts.usedMaxBytes <= killSizeBytes, 'the bound holds');
});
