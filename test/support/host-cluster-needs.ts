import { requireEtcd } from './etcd-server.ts';
import { requireFakeWallClock } from './fake-wall-clock.ts';
import { requireS3Server } from './s3-server.ts';

/** What a cluster in namespaces of its own needs; nothing can be installed from within, where there is no other network. */
export async function requireForOwnNetwork(): Promise<void> {
  await requireEtcd();
  await requireS3Server();
  await requireFakeWallClock();
}
