import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, connect } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey, publicPart, sign, wrapSecret } from '../../src/jose/index.js';
import { isMpeError } from '../../src/ops/errors.js';
import { encodeSiteDocument, type SiteDocument } from '../../src/protocol/site-document.js';
import { parseEnrolmentToken } from '../../src/protocol/enrolment-token.js';
import { loadCertificate } from '../../src/secrets/certificate.js';
import { gatewayNames } from '../../src/secrets/gateway-names.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { createSiteTls } from '../../src/secrets/site-ca.js';
import { checkGatewayKeys, checkSite, openWorkerKeys } from '../../src/secrets/site-check.js';
import { tempFolder } from '../support/temp.js';
import { guid, NOW, testSite, type TestSite } from './site.js';
import { copyWithModes } from '../support/copy-folder.js';

let site: TestSite;

beforeAll(async () => {
  site = await testSite();
}, 120_000);

/** Code and text of a refusal. */
async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isMpeError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

/** The site's document with changes, signed by its root key. */
const signed = (changes: Partial<SiteDocument>): Promise<string> =>
  sign(encodeSiteDocument({ ...site.document, ...changes }), site.keys.rootKey(), 'mpe-site+jws');

describe('a new site', () => {
  test('starts every process', async () => {
    const worker = await openWorkerKeys(site.keys, site.rows);
    expect(worker.document).toEqual(site.document);
    expect(worker.certificate?.thumbprint).toBe(site.document.certificateThumbprint);
    expect(worker.document.sealingKeys.map((key) => key.alg)).toEqual(['RSA-OAEP-256', 'ECDH-ES+A256KW']);
    expect(await checkGatewayKeys(site.keys, site.seed.site, site.rows.siteDocumentJws)).toEqual(
      site.document,
    );
  });

  test('has an enrolment token that carries the root’s thumbprint; the seed holds its hash alone', () => {
    const token = parseEnrolmentToken(site.enrolmentToken);
    expect(token.rootThumbprint).toBe(site.keys.rootThumbprint);
    const text = JSON.stringify(site.seed, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value,
    );
    expect(text).not.toContain(token.secret.toString('base64url'));
    expect(text).not.toContain('"d"');
  });

  test('has a policy that escrows everything from all clients', () => {
    expect(site.seed.policy).toMatchObject({
      mode: 'ESCROW',
      targetTag: null,
      storePackages: true,
      removableDrives: true,
      tpmOwnerAuth: true,
      checkIntervalMinutes: 90,
    });
  });

  test('has the certificate of the published rules', () => {
    const pem = readFileSync(join(site.keysDir, 'recovery/BitLockerManagement_CERT.pem'), 'utf8');
    const certificate = new X509Certificate(pem);
    expect(certificate.subject).toBe('CN=BitLockerManagement_CERT');
    expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(3072);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(loadCertificate(pem).publicJwk).toMatchObject({ kty: 'RSA', alg: 'RSA-OAEP-256' });
  });

  test('by consent to plain text has no certificate, and says so in the signed document', async () => {
    const plain = await testSite({}, { plaintextConsent: true });
    expect(plain.document).toMatchObject({ certificateThumbprint: null, plaintextConsent: true });
    expect((await openWorkerKeys(plain.keys, plain.rows)).certificate).toBeNull();
    expect(plain.keys.certificateKey()).toBeNull();
  });
});

describe('a start is refused', () => {
  test('where the database holds no site or another one', async () => {
    expect(await refusal(() => checkSite(site.keys, null, ''))).toMatch(
      /^SITE_MISMATCH: the database holds no site/,
    );
    const foreign = { ...site.seed.site, siteGuid: guid(5) };
    expect(await refusal(() => checkSite(site.keys, foreign, site.rows.siteDocumentJws))).toMatch(
      /^SITE_MISMATCH: the database is site/,
    );
    const reRooted = { ...site.seed.site, rootThumbprint: 'x'.repeat(43) };
    expect(await refusal(() => checkSite(site.keys, reRooted, site.rows.siteDocumentJws))).toMatch(
      /another root key/,
    );
  });

  test('where the site document is signed by another root, changed, or no document', async () => {
    const stranger = await generatePrivateKey('ES256');
    const forged = await sign(
      encodeSiteDocument({ ...site.document, rootKey: publicPart(stranger) }),
      stranger,
      'mpe-site+jws',
    );
    // Names the pinned root, is signed by the stranger.
    const mixed = await sign(
      encodeSiteDocument(site.document),
      { ...stranger, kid: site.keys.rootThumbprint },
      'mpe-site+jws',
    ).catch(() => forged);
    const [head, , signature] = site.rows.siteDocumentJws.split('.');
    const body = encodeSiteDocument({ ...site.document, name: 'OTHER' }).toString('base64url');
    const attempts = [forged, mixed, `${head}.${body}.${signature}`, `${head}.${body}.`, 'x', ''];
    for (const jws of attempts) {
      expect(await refusal(() => checkSite(site.keys, site.seed.site, jws))).toMatch(/^NOT_AUTHENTIC/);
    }
  });

  test('where the document is authentic and of another site or certificate', async () => {
    const other = await signed({ siteGuid: guid(5) });
    expect(await refusal(() => checkSite(site.keys, site.seed.site, other))).toMatch(
      /^SITE_MISMATCH: the site document/,
    );
    const siteDocumentJws = await signed({ certificateThumbprint: 'a'.repeat(64) });
    expect(await refusal(() => openWorkerKeys(site.keys, { ...site.rows, siteDocumentJws }))).toMatch(
      /^KEY_FOLDER_INVALID: .* than the site document names \(a{64}\)/,
    );
    const plain = await signed({ certificateThumbprint: null, plaintextConsent: true });
    expect(await refusal(() => checkSite(site.keys, site.seed.site, plain))).toMatch(
      /^SITE_MISMATCH: .* never goes back to plain text/,
    );
  });

  test('where the sealing keys or the fingerprint key do not open with the worker secret', async () => {
    const folder = join(tempFolder(), 'keys');
    copyWithModes(site.keysDir, folder);
    const wrong = { id: guid(6), key: Buffer.alloc(32, 1).toString('base64url') };
    writeFileSync(join(folder, 'worker/worker-secret.json'), JSON.stringify(wrong), { mode: 0o600 });
    const keys = await openKeyFolder(folder, 'worker');
    expect(await refusal(() => openWorkerKeys(keys, site.rows))).toMatch(/^SITE_MISMATCH: sealing key/);
    const rows = { ...site.rows, sealingKeys: [] };
    expect(await refusal(() => openWorkerKeys(site.keys, rows))).toMatch(
      /offers sealing keys that the database/,
    );
    const fingerprintKey = {
      ...site.rows.fingerprintKey,
      wrapped: `${site.rows.fingerprintKey.wrapped.slice(0, -22)}${'A'.repeat(22)}`,
    };
    expect(await refusal(() => openWorkerKeys(site.keys, { ...site.rows, fingerprintKey }))).toMatch(
      /^SITE_MISMATCH: fingerprint key/,
    );
    const short = await wrapSecret(Buffer.alloc(16), site.keys.workerSecret());
    const shortRow = { ...site.rows.fingerprintKey, wrapped: short };
    expect(
      await refusal(() => openWorkerKeys(site.keys, { ...site.rows, fingerprintKey: shortRow })),
    ).toMatch(/^SITE_MISMATCH: fingerprint key/);
  });

  test('where the rows of two sealing keys are swapped', async () => {
    const [a, b] = site.rows.sealingKeys;
    const swapped = [
      { ...a!, wrappedPrivate: b!.wrappedPrivate },
      { ...b!, wrappedPrivate: a!.wrappedPrivate },
    ];
    expect(await refusal(() => openWorkerKeys(site.keys, { ...site.rows, sealingKeys: swapped }))).toMatch(
      /^SITE_MISMATCH: sealing key .* holds another key under this name/,
    );
  });

  test('but not where a site has no certificate and no consent: its worker runs and refuses secrets', async () => {
    const plain = await testSite({}, { plaintextConsent: true });
    const document = encodeSiteDocument({ ...plain.document, plaintextConsent: false });
    const jws = await sign(document, plain.keys.rootKey(), 'mpe-site+jws');
    const keys = await openWorkerKeys(plain.keys, { ...plain.rows, siteDocumentJws: jws });
    expect(keys.certificate).toBeNull();
    expect(keys.document.plaintextConsent).toBe(false);
  });

  test('where the gateway’s token key or CA is not in the document', async () => {
    const stranger = publicPart(await generatePrivateKey('ES256'));
    const tokens = await signed({ tokenKeys: [stranger] });
    expect(await refusal(() => checkGatewayKeys(site.keys, site.seed.site, tokens))).toMatch(/token key/);
    const ca = await signed({ gatewayCaThumbprint: 'b'.repeat(64) });
    expect(await refusal(() => checkGatewayKeys(site.keys, site.seed.site, ca))).toMatch(/gateway's CA/);
  });
});

describe('the gateway’s TLS certificate', () => {
  test.each(['localhost', '127.0.0.1', '::1', 'mp.example'])(
    'is good for %s with the site CA as only root',
    async (name) => {
      const tls = await createSiteTls(guid(1), gatewayNames(['mp.example']), NOW);
      const server = createServer({ key: tls.keyPem, cert: tls.chainPem }, (socket) => socket.end());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const client = connect({
        host: '127.0.0.1',
        port,
        ca: tls.caPem,
        ...(/[a-z]/.test(name) ? { servername: name } : {}),
        checkServerIdentity: (_host, certificate) => {
          const leaf = new X509Certificate(certificate.raw);
          return (/^[\d.:]+$/.test(name) ? leaf.checkIP(name) : leaf.checkHost(name)) === undefined
            ? new Error(`not for ${name}`)
            : undefined;
        },
      });
      await once(client, 'secureConnect');
      expect(client.authorized).toBe(true);
      client.destroy();
      server.close();
    },
  );

  test('is valid by the real clock also where the site’s clock is years away', async () => {
    for (const offset of [-5, 5]) {
      const tls = await createSiteTls(guid(1), ['localhost'], Date.now() + offset * 365 * 86_400_000);
      const leaf = new X509Certificate(tls.chainPem);
      expect(Date.parse(leaf.validFrom)).toBeLessThan(Date.now());
      expect(Date.parse(leaf.validTo)).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000);
    }
  });

  test('is for this host too; a name that is none is refused', () => {
    expect(gatewayNames(['MP.example', '10.0.0.1'], 'Host1')).toEqual([
      ...['localhost', '127.0.0.1', '::1', 'host1', 'mp.example', '10.0.0.1'],
    ]);
    for (const bad of ['a b', '-x', 'a..b', 'https://x', '']) {
      expect(() => gatewayNames([bad])).toThrow(/neither a host name nor an IP address/);
    }
  });
});
