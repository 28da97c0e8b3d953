import { randomBytes, webcrypto } from 'node:crypto';
import { x509 } from '../../src/secrets/x509.js';

const DAY_MS = 86_400_000;
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

type Names = ConstructorParameters<typeof x509.SubjectAlternativeNameExtension>[0];

/** How a leaf differs from a good one. */
export interface LeafOptions {
  readonly cn: string;
  /** Several CNs, or other fields: the whole subject. */
  readonly subject?: string;
  readonly san?: Names;
  /** Absent: client authentication. */
  readonly usages?: readonly string[];
  readonly keyUsage?: x509.KeyUsageFlags;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly ca?: boolean;
  readonly key?: webcrypto.CryptoKeyPair;
  readonly extra?: readonly InstanceType<typeof x509.Extension>[];
  readonly rsaBits?: number;
}

/** A certificate with its key, PEM. */
export interface TestCertificate {
  readonly pem: string;
  readonly keyPem: string;
  readonly der: Buffer;
  readonly serial: string;
  readonly key: webcrypto.CryptoKeyPair;
}

/** A CA made for a test: root, or below another. */
export class TestCa {
  readonly name: string;
  readonly pem: string;
  readonly der: Buffer;
  readonly key: webcrypto.CryptoKeyPair;
  readonly serial: string;

  private constructor(
    name: string,
    certificate: InstanceType<typeof x509.X509Certificate>,
    key: webcrypto.CryptoKeyPair,
  ) {
    this.name = name;
    this.pem = certificate.toString('pem');
    this.der = Buffer.from(certificate.rawData);
    this.serial = certificate.serialNumber;
    this.key = key;
  }

  static async create(
    name: string,
    options: { readonly parent?: TestCa; readonly pathLength?: number; readonly notAfter?: Date } = {},
  ): Promise<TestCa> {
    const key = await newKey();
    const { parent } = options;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: name,
      issuer: parent?.name ?? name,
      notBefore: new Date(Date.now() - 10 * DAY_MS),
      notAfter: options.notAfter ?? new Date(Date.now() + 365 * DAY_MS),
      publicKey: key.publicKey,
      signingKey: (parent?.key ?? key).privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, options.pathLength, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(key.publicKey),
      ],
    });
    return new TestCa(name, certificate, key);
  }

  async issue(options: LeafOptions): Promise<TestCertificate> {
    const key = options.key ?? (await newKey(options.rsaBits));
    const serialNumber = newSerial();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: options.subject ?? `CN=${options.cn}`,
      issuer: this.name,
      notBefore: options.notBefore ?? new Date(Date.now() - DAY_MS),
      notAfter: options.notAfter ?? new Date(Date.now() + 30 * DAY_MS),
      publicKey: key.publicKey,
      signingKey: this.key.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(options.ca ?? false, undefined, true),
        new x509.KeyUsagesExtension(options.keyUsage ?? x509.KeyUsageFlags.digitalSignature, true),
        ...(options.usages?.length === 0
          ? []
          : [new x509.ExtendedKeyUsageExtension([...(options.usages ?? [CLIENT_AUTH])])]),
        ...(options.san === undefined ? [] : [new x509.SubjectAlternativeNameExtension(options.san)]),
        ...(options.extra ?? []),
      ],
    });
    return {
      pem: certificate.toString('pem'),
      keyPem: await privatePem(key.privateKey),
      der: Buffer.from(certificate.rawData),
      serial: serialNumber,
      key,
    };
  }

  /** A TLS server certificate for 127.0.0.1. */
  server(): Promise<TestCertificate> {
    return this.issue({ cn: '127.0.0.1', usages: [SERVER_AUTH], san: [{ type: 'ip', value: '127.0.0.1' }] });
  }

  /** A revocation list, PEM. */
  async crl(
    serials: readonly string[],
    options: {
      readonly nextUpdate?: Date;
      readonly signer?: TestCa;
      readonly extra?: InstanceType<typeof x509.Extension>;
    } = {},
  ): Promise<string> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.name,
      thisUpdate: new Date(Date.now() - 20 * DAY_MS),
      nextUpdate: options.nextUpdate ?? new Date(Date.now() + 7 * DAY_MS),
      signingKey: (options.signer ?? this).key.privateKey,
      signingAlgorithm: ALGORITHM,
      entries: serials.map((serialNumber) => ({
        serialNumber,
        revocationDate: new Date(),
        reason: x509.X509CrlReason.keyCompromise,
      })),
      ...(options.extra === undefined ? {} : { extensions: [options.extra] }),
    });
    return list.toString('pem');
  }
}

async function newKey(rsaBits?: number): Promise<webcrypto.CryptoKeyPair> {
  if (rsaBits === undefined) return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  return webcrypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: rsaBits,
      publicExponent: new Uint8Array([1, 0, 1]),
    },
    true,
    ['sign', 'verify'],
  );
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}

/** Positive, so that DER needs no zero in front. */
function newSerial(): string {
  const bytes = randomBytes(12);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
