import { systemClock } from '@alluxio-ts/common/clock';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
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
