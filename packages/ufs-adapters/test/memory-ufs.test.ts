import { systemClock } from '@alluxio-ts/common/clock';
import { compareKeys } from '@alluxio-ts/ufs-adapters/byte-order';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import * as fc from 'fast-check';
import t from 'tap';
import { testUfs } from './support/ufs-conformance.ts';

testUfs(t, 'memory', { open: async () => new MemoryUfs({ clock: systemClock }), oddKeys: 'kept' });

void t.test('equal bytes written again are a new version', async (t) => {
  const ufs = new MemoryUfs({ clock: systemClock });
  const first = await ufs.write('file', Buffer.from('same'));
  const second = await ufs.write('file', Buffer.from('same'), { headers: { contentType: 'text/plain' } });
  t.not(first.version, second.version);
  t.match(await ufs.stat('file'), { headers: { contentType: 'text/plain' } });
});

void t.test('keys are ordered by the bytes of UTF-8', async (t) => {
  const unit = fc.constantFrom(
    'a',
    '/',
    '-',
    '\u{7f}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ffff}',
    '\u{10000}',
    '\u{10ffff}',
  );
  const key = fc.string({ unit });
  fc.assert(
    fc.property(key, key, (one, other) => {
      const wanted = Buffer.compare(Buffer.from(one), Buffer.from(other));
      return Math.sign(compareKeys(one, other)) === wanted;
    }),
  );
  t.pass('no counterexample');
});
