import { delayBucketCount, delayBucketOf, LoopDelayWatch } from '@alluxio-ts/transport/delay-watch';
import t from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';

await t.test('a delay is counted up to the bound that it does not exceed', (t) => {
  const buckets = [0, 0.0625, 0.063, 0.125, 0.126, 0.5, 1, 2, 1e6].map(delayBucketOf);
  // As the native half has them.
  t.strictSame(buckets, [0, 0, 1, 4, 5, 12, 16, 20, delayBucketCount - 1]);
  t.end();
});

await t.test('whoever comes late has been late for each time that was due', async (t) => {
  const clock = new ManualClock();
  const watch = new LoopDelayWatch(clock);
  const counted = ({ alone }: { readonly alone: ArrayLike<number> }) =>
    Array.from(alone).flatMap((count, bucket) => (count > 0 ? [[bucket, count]] : []));
  await clock.pass(2);
  t.strictSame(counted(watch.take()), [[0, 1]], 'in time');
  await clock.pass(8);
  t.strictSame(
    counted(watch.take()),
    [
      [0, 1],
      [delayBucketOf(2), 1],
      [delayBucketOf(4), 1],
      [delayBucketOf(6), 1],
    ],
    'four were due',
  );
  await clock.pass(100);
  t.strictSame(
    counted(watch.take()),
    [
      [delayBucketOf(90), 1],
      [delayBucketOf(98), 4],
    ],
    'of one long absence only the first five',
  );
  await clock.pass(2);
  t.strictSame(counted(watch.take()), [[0, 1]], 'and in time again');
  watch.close();
  await clock.pass(8);
  t.strictSame(counted(watch.take()), []);
});
