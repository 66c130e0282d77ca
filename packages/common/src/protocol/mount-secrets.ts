/** How the secrets among a mount's options are sealed in the state store, opened by those who read from the mount, and masked for everyone else. */

import { AlluxioError } from '../errors.ts';
import { isSealed, type SecretBox } from '../secret-box.ts';
import type { Mount } from './mounts.ts';

export const secretMask = 'xxx';

export type IsSecretOption = (name: string) => boolean;

/** For the writer; readers find out by the form of the value what was sealed. */
export function sealMount(mount: Mount, box: SecretBox, isSecret: IsSecretOption): Mount {
  return withOptions(mount, (name, value) =>
    isSecret(name) ? box.seal(value, placeOf(mount, name)) : value,
  );
}

/** Fails with InvalidOptions when there is something sealed and no key, or the wrong one. */
export function unsealMount(mount: Mount, box: SecretBox | undefined): Mount {
  return withOptions(mount, (name, value) => {
    if (!isSealed(value)) return value;
    if (!box) {
      throw new AlluxioError(
        'InvalidOptions',
        `the secret of ${placeOf(mount, name)} is sealed, and there is no key file here; set alluxio.security.key.file`,
      );
    }
    return box.open(value, placeOf(mount, name));
  });
}

/** For lists, logs and dumps. What is sealed is masked even when its name is not known as a secret's any more. */
export function maskMount(mount: Mount, isSecret: IsSecretOption): Mount {
  return withOptions(mount, (name, value) => (isSecret(name) || isSealed(value) ? secretMask : value));
}

function withOptions(mount: Mount, change: (name: string, value: string) => string): Mount {
  const options = Object.entries(mount.options).map(([name, value]) => [name, change(name, value)] as const);
  return { ...mount, options: Object.fromEntries(options) };
}

function placeOf(mount: Mount, optionName: string): string {
  return `${mount.path} ${optionName}`;
}
