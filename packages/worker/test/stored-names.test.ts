import t from 'tap';
import { fileIdOf } from '@alluxio-ts/common/page';
import { StoredNames, storedIdBytes, storedNamesBytes } from '../src/file-records/stored-names.ts';

const namesMax = 20_000;

function namesFrom(begin: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `s3://bucket/data/${begin + index}.bin`);
}

t.test('a name that was added is never denied, and few others are taken for one', async (t) => {
  const names = new StoredNames({ namesMax });
  const [before, during, after] = [namesFrom(0, 8000), namesFrom(8000, 4000), namesFrom(12_000, 8000)];
  t.ok(names.mayHave('s3://bucket/none'), 'before anything is known any may be there');
  names.begin();
  const ids = before.map((name) => Buffer.from(fileIdOf(name), 'hex').subarray(0, storedIdBytes));
  names.addIds(Buffer.concat(ids));
  for (const name of during) names.add(name);
  t.ok(names.mayHave('s3://bucket/none'));
  names.complete();
  for (const name of after) names.add(name);
  t.ok([...before, ...during, ...after].every((name) => names.mayHave(name)));
  const others = namesFrom(1_000_000, 20_000).filter((name) => names.mayHave(name)).length;
  t.ok(others < 20_000 / 100, `${others} of 20,000`);
  t.notOk(names.isWorn);
});

t.test('one that is worn is made anew; what was begun and given up counts for nothing', async (t) => {
  const names = new StoredNames({ namesMax });
  names.begin();
  names.complete();
  for (const name of namesFrom(0, 2 * namesMax + 1)) names.add(name);
  t.ok(names.isWorn);
  names.begin();
  t.ok(names.isBegun);
  names.add('s3://bucket/new');
  names.giveUp();
  t.notOk(names.isBegun);
  t.ok(names.mayHave('s3://bucket/new'));
  names.begin();
  names.complete();
  t.notOk(names.isWorn);
  t.notOk(names.mayHave('s3://bucket/new'));
});

t.test('what it takes', async (t) => {
  t.equal(storedNamesBytes(10_000_000), 16 * 1024 * 1024);
});
