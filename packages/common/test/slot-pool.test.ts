import { SlotPool } from '@alluxio-ts/common/slot-pool';
import t from 'tap';

function pool(slotCount = 2): SlotPool {
  return new SlotPool({ slotCount, slotSizeBytes: 1024 });
}

function take(slots: SlotPool, split: number) {
  const lease = slots.take(split);
  if (!lease) throw new Error('no slot');
  return lease;
}

t.test('a slot taken twice has another generation, and the first one is no longer current', async (t) => {
  const slots = pool(1);
  const first = take(slots, 0);
  t.equal(slots.take(0), undefined, 'there is only one');
  slots.release(first.slot);
  const second = take(slots, 0);
  t.equal(second.slot, first.slot);
  t.notOk(slots.isCurrent(first));
  t.ok(slots.isCurrent(second));
  t.equal(await slots.waitReadable(first, 0), undefined, 'a late reader gets nothing of the new page');
});

t.test('a held slot stays until its last reader has gone', async (t) => {
  const slots = pool(1);
  const lease = take(slots, 0);
  slots.hold(lease.slot);
  slots.release(lease.slot);
  t.equal(slots.freeCount, 0);
  slots.release(lease.slot);
  t.equal(slots.freeCount, 1);
  t.throws(() => slots.release(lease.slot), /released more often than held/);
});

t.test('a reader behind the split waits for the tail, one before it for the head', async (t) => {
  const slots = pool();
  const lease = take(slots, 512);
  const tail = slots.waitReadable(lease, 600);
  const head = slots.waitReadable(lease, 10);
  slots.advanceTail(lease.slot, 200);
  t.equal(await tail, 712);
  t.equal(slots.readableEnd(lease.slot, 10), 10, 'nothing of the head is there');
  slots.advanceTail(lease.slot, 512);
  slots.advanceHead(lease.slot, 100);
  t.equal(await head, 100);
  slots.advanceHead(lease.slot, 512);
  t.equal(slots.readableEnd(lease.slot, 10), 1024, 'a whole head joins the tail');
});

t.test(
  'those who wait for a slot get their turn in order, and who has no use for it holds nobody up',
  async (t) => {
    const slots = pool(1);
    const { slot } = take(slots, 0);
    const turns: string[] = [];
    const waitFor = async (name: string, isUseful: boolean, signal = new AbortController().signal) => {
      await slots.waitFree(signal);
      turns.push(name);
      if (isUseful) take(slots, 0);
    };
    const left = new AbortController();
    const all = [waitFor('useless', false), waitFor('left', true, left.signal), waitFor('useful', true)];
    const last = waitFor('last', true);
    left.abort(new Error('gone'));
    await t.rejects(all[1] ?? Promise.resolve(), { message: 'gone' });
    slots.release(slot);
    await Promise.all([all[0], all[2]]);
    t.strictSame(turns, ['useless', 'useful']);
    slots.release(slot);
    await last;
    await t.rejects(slots.waitFree(left.signal), { message: 'gone' });
  },
);

t.test('a failed fill ends the wait of its readers', async (t) => {
  const slots = pool();
  const lease = take(slots, 0);
  slots.advanceHead(lease.slot, 0);
  const waiting = slots.waitReadable(lease, 0);
  slots.fail(lease.slot);
  t.equal(await waiting, undefined);
});

t.test('what is in a slot is seen by whoever has the pool, and slots do not overlap', async (t) => {
  const slots = pool();
  const one = take(slots, 0);
  const other = take(slots, 0);
  slots.bytesOf(one.slot).fill(1);
  slots.bytesOf(other.slot).fill(2);
  t.ok(slots.bytesOf(one.slot).every((byte) => byte === 1));
  t.equal(slots.bytesOf(one.slot).length, 1024);
});
