/** Under which name or address the others of a cluster, and its clients, reach this worker. */

import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { Options } from '@alluxio-ts/common/options';

/** What a machine knows of itself. */
export interface MachineNames {
  readonly hostname: string;
  /** The IPv4 address of that name, as this machine resolves it; undefined when it does not. */
  readonly hostAddress: string | undefined;
  /** The IPv4 addresses of its interfaces, without loopback. */
  readonly interfaceAddresses: readonly string[];
}

const wildcardHosts: readonly string[] = ['0.0.0.0', '::', ''];

/**
 * As it is set, else the address that the worker listens on. One that listens on all gives the address behind its own host name, as Alluxio does: others may
 * not be able to resolve the name. Where that is a loopback address, the first of its interfaces.
 */
export async function advertisedHost(
  options: Options,
  namesOf: () => Promise<MachineNames> = machineNames,
): Promise<string> {
  const set = options.get('alluxio.worker.hostname');
  if (set !== '') return set;
  const bindHost = options.get('alluxio.bind.host');
  if (!wildcardHosts.includes(bindHost)) return bindHost;
  const names = await namesOf();
  const { hostAddress } = names;
  if (hostAddress !== undefined && !hostAddress.startsWith('127.')) return hostAddress;
  return names.interfaceAddresses[0] ?? names.hostname;
}

async function machineNames(): Promise<MachineNames> {
  const name = hostname();
  const found = await lookup(name, { family: 4 }).catch(() => undefined);
  const interfaces = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return {
    hostname: name,
    hostAddress: found?.address,
    interfaceAddresses: interfaces
      .filter(({ internal, address }) => !internal && isIPv4(address))
      .map(({ address }) => address),
  };
}
