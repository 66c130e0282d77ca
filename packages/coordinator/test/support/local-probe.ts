import { stat } from 'node:fs/promises';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { MountProbe } from '../../src/control/mount-control.ts';

/** Looks at local directories for real and takes every other scheme as unsupported. */
export const localProbe: MountProbe = {
  check: async (uri) => {
    const { scheme, prefix } = parseMountUri(uri);
    if (scheme !== 'file') throw new AlluxioError('UfsUnsupported', `there is no adapter for ${scheme}`);
    await stat(`/${prefix}`).catch(() => {
      throw new AlluxioError('UfsBucketNotFound', `there is no directory /${prefix}`);
    });
  },
  isSecretOption: (_, name) => /secret|key/i.test(name),
};
