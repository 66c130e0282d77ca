/** A certificate for tests that vouches for itself, for `localhost`, as a server and as a client. */

import { generateKeyPairSync, sign } from 'node:crypto';

export interface TestCertificate {
  /** PEM; also the authority that signed it. */
  readonly certificate: string;
  /** PEM, PKCS8. */
  readonly key: string;
}

export function makeTestCertificate(commonName: string, keyKind: 'ec' | 'rsa' = 'ec'): TestCertificate {
  const { publicKey, privateKey } =
    keyKind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const name = sequence(set(sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))));
  const signatureKind =
    keyKind === 'ec' ? sequence(oid('2a8648ce3d040302')) : sequence(oid('2a864886f70d01010b'), der(0x05));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    signatureKind,
    name,
    sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z'))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension('551d25', usages), extension('551d11', hostNames))),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, signatureKind, der(0x03, Buffer.from([0]), signature));
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

/** A value of ASN.1 in DER: its tag, its length, its bytes. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const lengthBytes =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function set(...parts: readonly Buffer[]): Buffer {
  return der(0x31, ...parts);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), der(0x04, value));
}

/** Server and client. */
const usages = sequence(oid('2b06010505070301'), oid('2b06010505070302'));

const hostNames = sequence(der(0x82, Buffer.from('localhost')));
