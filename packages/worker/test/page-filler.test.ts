import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import type { ReceiveOptions, Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import t from 'tap';
import { LocalFillRunner } from '../src/cache/fill-runner.ts';
import { fileNameOf } from '../src/cache/mount-table.ts';
import { PageFiller } from '../src/cache/page-filler.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';

const pageSizeBytes = 4096;

void t.test(
  'the slot of a read that nobody wants is free when nothing is written to it any more',
  async (t) => {
    const memory = new MemoryUfs({ clock: systemClock });
    await memory.write('file', Buffer.alloc(100));
    const over = Promise.withResolvers<number>();
    let asked: ReceiveOptions | undefined;
    /** As a file system whose call is under way when the read is given up. */
    const slow: Ufs = {
      ...delegateTo(memory),
      receive: async (key, options) => {
        asked = options;
        const file = await memory.stat(key);
        if (!file) throw new Error('no file');
        return { file, over: over.promise };
      },
    };
    const slots = new SlotPool({ slotCount: 1, slotSizeBytes: pageSizeBytes });
    const store = new MemoryPageStore({ capacityBytes: 2 ** 20, pageSizeBytes });
    const filler = new PageFiller({
      store,
      slots,
      runner: new LocalFillRunner(slots),
      pageSizeBytes,
      logger: silentLogger,
      onKept: () => undefined,
    });
    const mount = { path: '/m', uri: parseMountUri('mem://bucket/prefix'), ufs: slow, sinceMs: 0 };
    const begun = await filler.begin(fileNameOf(mount, 'file'), 0);
    if (!begun) throw new Error('nothing began');
    filler.discard(begun);
    t.equal(asked?.signal?.aborted, true);
    t.equal(await filler.begin(fileNameOf(mount, 'file'), 0), undefined, 'it is still written to');
    over.reject(new Error('given up'));
    await new Promise(setImmediate);
    t.equal(slots.freeCount, 1);
    await store.close();
  },
);
