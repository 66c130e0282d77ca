import * as fc from 'fast-check';
import t from 'tap';
import { PageList, PageTable, noEntry } from '../src/page-store/page-table.ts';

const runOptions = process.env['TEST_SEED'] ? { seed: Number(process.env['TEST_SEED']) } : {};

function pageOf(number: number): { file: { a: number; b: number; c: number }; index: number } {
  // Few different words, so that pages share hash runs and differ in one word only.
  return { file: { a: number & 7, b: (number >> 3) & 3, c: 0xffff_ffff - (number >> 5) }, index: number % 3 };
}

function placeOf(number: number): {
  segmentId: number;
  recordOffsetBytes: number;
  dataStartBytes: number;
  lengthBytes: number;
  checksumIndex: number;
} {
  const recordOffsetBytes = number * 4096;
  return {
    segmentId: number % 2,
    recordOffsetBytes,
    dataStartBytes: recordOffsetBytes + 8,
    lengthBytes: number + 1,
    checksumIndex: number,
  };
}

void t.test('the table answers like a Map, whatever is put in and taken out', async (t) => {
  const operation = fc.tuple(fc.constantFrom('put', 'put', 'remove', 'touch'), fc.nat(400));
  const property = fc.property(fc.array(operation, { maxLength: 2000, size: 'max' }), (operations) => {
    const table = new PageTable();
    const lists = [new PageList(), new PageList()] as const;
    const model = new Map<string, number>();
    for (const [kind, number] of operations) {
      const page = pageOf(number);
      const name = JSON.stringify(page);
      const entry = table.find(page);
      const known = model.get(name);
      if ((known === undefined) !== (entry === noEntry)) return false;
      if (known !== undefined && JSON.stringify(table.placeOf(entry)) !== JSON.stringify(placeOf(known))) {
        return false;
      }
      if (kind === 'put' && known === undefined) {
        table.insert(page, placeOf(number), lists[number % 2 === 0 ? 0 : 1]);
        model.set(name, number);
      } else if (known !== undefined) {
        const list = lists[known % 2 === 0 ? 0 : 1];
        if (kind === 'touch') table.touch(entry, list);
        if (kind === 'remove') {
          table.remove(entry, list);
          model.delete(name);
        }
      }
    }
    return isInStep(table, lists, [...model.values()]);
  });
  fc.assert(property, { ...runOptions, numRuns: 60 });
  t.pass('held');
});

function isInStep(table: PageTable, lists: readonly PageList[], numbers: readonly number[]): boolean {
  if (table.count !== numbers.length) return false;
  if (table.bytes !== numbers.reduce((sum, number) => sum + number + 1, 0)) return false;
  return lists.every((list, segmentId) => {
    const wanted = numbers.filter((number) => number % 2 === segmentId);
    const found: number[] = [];
    let tickSum = 0;
    for (let entry = list.first; entry !== noEntry; entry = table.nextOf(entry)) {
      found.push(table.placeOf(entry).checksumIndex);
      tickSum += table.tickOf(entry);
    }
    const isSame = JSON.stringify(found.sort(byNumber)) === JSON.stringify([...wanted].sort(byNumber));
    return isSame && list.count === wanted.length && list.tickSum === tickSum;
  });
}

function byNumber(one: number, other: number): number {
  return one - other;
}

void t.test('a hundred thousand pages take less than 64 bytes each', async (t) => {
  const table = new PageTable();
  const list = new PageList();
  for (let number = 0; number < 100_000; number++) {
    const word = Math.imul(number + 1, 0x9e37_79b1) >>> 0;
    table.insert({ file: { a: word, b: number, c: 1 }, index: 0 }, placeOf(number & 1023), list);
  }
  t.ok(table.memoryBytes / table.count < 64, `${table.memoryBytes / table.count} bytes a page`);
});

void t.test('halved ticks keep their order', async (t) => {
  const table = new PageTable();
  const list = new PageList();
  table.advanceTick(0xffff_fff0);
  for (let number = 0; number < 15; number++) table.insert(pageOf(number), placeOf(0), list);
  t.ok(table.isTickSpent);
  table.halveTicks([list]);
  t.notOk(table.isTickSpent);
  const ticks = Array.from({ length: 15 }, (_, number) => table.tickOf(table.find(pageOf(number))));
  t.same(ticks, [...ticks].sort(byNumber));
  t.equal(
    list.tickSum,
    ticks.reduce((sum, tick) => sum + tick, 0),
  );
  table.touch(table.find(pageOf(0)), list);
  t.ok(table.tickOf(table.find(pageOf(0))) > Math.max(...ticks), 'and later uses are later');
});
