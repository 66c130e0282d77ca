/**
 * The S3 gateway of Ceph, over a small Ceph in memory: from PATH or, with ALLUXIO_TEST_APT=1, installed by apt. Up in ten seconds, 150 MB.
 *
 * Where it differs from S3: a listing that starts after a name which ends in a delimiter of several letters leaves out what begins with that name, also
 * where prefix and delimiter overlap and nothing is grouped.
 */

import { fileURLToPath } from 'node:url';
import { freePorts } from './free-ports.ts';
import { aptInstall, areOnPath } from './programs.ts';
import type { S3Program } from './s3-program.ts';

const script = fileURLToPath(new URL('ceph.sh', import.meta.url));
const programs = ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'];
const packages = ['ceph-common', 'ceph-mon', 'ceph-osd', 'radosgw'];

/** Fails when it can neither be found nor installed. */
export async function findCeph(): Promise<S3Program> {
  const isThere = (): Promise<boolean> => areOnPath(programs);
  if (!(await isThere())) await aptInstall(packages, isThere);
  return {
    name: 'Ceph',
    traits: { keepsOddKeys: true, ordersByBytes: true, delimiters: ['/', '-', 'x'] },
    command: async ({ address, directory, port, users }) => {
      const [monitorPort] = await freePorts(1);
      const identities = users.flatMap(({ name, accessKeyId, secretKey }) => [name, accessKeyId, secretKey]);
      return ['/bin/sh', [script, directory, String(monitorPort), address, String(port), ...identities]];
    },
  };
}
