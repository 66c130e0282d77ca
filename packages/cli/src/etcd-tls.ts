/** The certificates of the options, read and checked before etcd is asked: what is wrong with a file says more than a handshake that failed. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Options } from '@alluxio-ts/common/options';
import type { EtcdKvStoreOptions } from '@alluxio-ts/common/state/etcd-kv-store';

type FileOption = 'alluxio.etcd.tls.ca.file' | 'alluxio.etcd.tls.cert.file' | 'alluxio.etcd.tls.key.file';

/** Undefined when no file is set. Throws InvalidOptions naming the option and the file; nothing of a key is in it. */
export async function etcdTlsOf(options: Options): Promise<EtcdKvStoreOptions['tls']> {
  const ca = await readPem(options, 'alluxio.etcd.tls.ca.file');
  const certificate = await readPem(options, 'alluxio.etcd.tls.cert.file');
  const key = await readPem(options, 'alluxio.etcd.tls.key.file');
  if (ca !== undefined) certificateOf(options, 'alluxio.etcd.tls.ca.file', ca);
  if ((certificate === undefined) !== (key === undefined)) {
    throw new AlluxioError(
      'InvalidOptions',
      'alluxio.etcd.tls.cert.file and alluxio.etcd.tls.key.file go together; set both',
    );
  }
  if (certificate === undefined || key === undefined) return ca === undefined ? undefined : { ca };
  const ours = certificateOf(options, 'alluxio.etcd.tls.cert.file', certificate);
  if (!ours.checkPrivateKey(keyOf(options, key))) {
    throw invalid(
      options,
      'alluxio.etcd.tls.key.file',
      'is not the key of the certificate in alluxio.etcd.tls.cert.file',
    );
  }
  return { ca: ca ?? getCACertificates('default').join('\n'), certificate, key };
}

async function readPem(options: Options, name: FileOption): Promise<string | undefined> {
  const file = options.get(name);
  if (file === '') return undefined;
  return readFile(file, 'utf8').catch((thrown: unknown) => {
    throw invalid(options, name, `cannot be read (${errnoOf(thrown)})`);
  });
}

function certificateOf(options: Options, name: FileOption, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw invalid(options, name, 'holds no certificate in PEM');
  }
}

/** PKCS8, as Alluxio wants it; the older PKCS1 and SEC1 are read as well. */
function keyOf(options: Options, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalid(
      options,
      'alluxio.etcd.tls.key.file',
      'holds no private key in PEM without a passphrase; "openssl pkcs8 -topk8 -nocrypt" makes one',
    );
  }
}

function invalid(options: Options, name: FileOption, fault: string): AlluxioError {
  return new AlluxioError('InvalidOptions', `${options.get(name)} (${name}) ${fault}`);
}
