/** Where the keys that requests are signed with come from. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { S3Credentials } from './options.ts';

export interface SigningKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** The keys of this moment, or undefined when requests are not signed. */
export type CredentialsSource = () => Promise<SigningKeys | undefined>;

export function credentialsSourceOf(credentials: S3Credentials): CredentialsSource {
  if (credentials.kind === 'default') return defaultChain();
  if (credentials.kind === 'anonymous') return () => Promise.resolve(undefined);
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const keys = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  return () => Promise.resolve(keys);
}

/** The chain keeps what it found and renews it before it expires. It is loaded when first asked: most mounts bring their keys. */
function defaultChain(): CredentialsSource {
  let provider: Promise<() => Promise<SigningKeys>> | undefined;
  return async () => {
    provider ??= import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) => defaultProvider());
    try {
      return await (await provider)();
    } catch (thrown) {
      throw new AlluxioError(
        'UfsAccessDenied',
        'the mount has no access keys and none were found in the environment, the AWS profile or the instance role: ' +
          'give s3a.accessKeyId and s3a.secretKey, or alluxio.underfs.s3.anonymous=true for a public bucket',
        { cause: thrown },
      );
    }
  };
}
