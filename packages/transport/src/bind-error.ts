import { AlluxioError } from '@alluxio-ts/common/errors';
import type { ListenOptions } from './page-transport.ts';

/** Why a listener could not be made, by the name of its errno. */
export function bindError(
  cause: Error,
  errno: string | undefined,
  options: Pick<ListenOptions, 'host' | 'port' | 'name'>,
): AlluxioError {
  const { host, name, port } = options;
  if (errno === 'EADDRINUSE') {
    return new AlluxioError(
      'PortTaken',
      `port ${port} on ${host} is taken by another process; stop it or choose another port for ${name}`,
      { cause },
    );
  }
  return new AlluxioError(
    'InvalidOptions',
    `cannot listen on ${host}:${port} for ${name}: ${cause.message}`,
    {
      cause,
    },
  );
}
