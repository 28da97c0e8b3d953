import { describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { startRecovery, type RunningRecovery } from '../../src/recovery/run.js';
import { addCertificate } from '../../src/secrets/add-certificate.js';
import { createCertificate } from '../../src/secrets/create-certificate.js';
import { publishSiteDocument, type SiteDocumentChanges } from '../../src/secrets/next-site-document.js';
import { TestCa } from '../support/pki.js';
import { until } from '../workers/runtime-support.js';
import { Vault } from './support.js';

const YEAR_MS = 365.25 * 86_400_000;
const OFF = 'mpe_recovery_tls_expires_seconds';

/** The recovery service of a site, by a clock that is years ahead. */
async function started(vault: Vault, years: number): Promise<RunningRecovery> {
  const running = await startRecovery({
    config: loadConfig({ MPE_KEYS_DIR: vault.keysDir, MPE_RECOVERY_CANARY_SECONDS: '1' }),
    ...{ store: vault.store, log: vault.site.log, clock: { now: () => Date.now() + years * YEAR_MS } },
  });
  onTestFinished(() => running.close());
  return running;
}

/** What the log said of ends: the event, of what, and within how many days. */
const said = (vault: Vault): readonly unknown[] =>
  vault.site.lines.flatMap(({ event, id, withinDays }) =>
    String(event).endsWith('.expires') ? [[event, id, withinDays]] : [],
  );

/** Years until the end that a metric counts down to; null where it is absent. */
async function yearsLeft({ metrics }: RunningRecovery, thing: string): Promise<number | null> {
  const sample = new RegExp(`^mpe_${thing}_expires_seconds (\\S+)$`, 'm').exec((await metrics.scrape()).text);
  return sample === null ? null : Math.round((1000 * Number(sample[1])) / YEAR_MS);
}

function publish(vault: Vault, changes: SiteDocumentChanges): Promise<unknown> {
  const { siteGuid, keyFolder } = vault.site;
  return publishSiteDocument(
    vault.store,
    { siteGuid, rootKey: keyFolder.rootKey() },
    Date.now(),
    () => changes,
  );
}

describe('the recovery service announces the end', () => {
  test('of site document and certificate, and looks at what came in their place', async () => {
    const vault = await Vault.create();
    const former = vault.site.keyFolder.certificate()!.thumbprint;
    const running = await started(vault, 50);
    expect(said(vault)).toEqual([
      ['site_document.expires', '1', 0],
      ['certificate.expires', former, 0],
    ]);
    expect(await yearsLeft(running, 'site_document')).toBe(-45);
    expect(await yearsLeft(running, 'certificate')).toBe(-30);

    // Both are renewed while it runs: the file comes first, as `mpe certificate create` and `rotate` do it.
    const { certificate } = addCertificate(vault.keysDir, await createCertificate(Date.now(), 60));
    const expiresAtMs = Date.now() + 70 * YEAR_MS;
    await publish(vault, { certificateThumbprint: certificate.thumbprint, expiresAtMs });
    await until(async () => (await yearsLeft(running, 'site_document')) === 20);
    await until(async () => (await yearsLeft(running, 'certificate')) === 10);
    expect(said(vault)).toHaveLength(2);
  });

  test('of the TLS certificate that its portals show', async () => {
    const vault = await Vault.create();
    const running = await started(vault, 0);
    expect((await running.metrics.scrape()).text).not.toContain(`\n${OFF}`);
    const ca = await TestCa.create('CN=Portal CA');
    const { pem } = await ca.issue({ cn: 'localhost', notAfter: new Date(Date.now() + 5 * 86_400_000) });
    running.watchTls(pem);
    expect(said(vault)).toEqual([['recovery_tls.expires', expect.any(String), 7]]);
    expect((await running.metrics.scrape()).text).toMatch(new RegExp(`\n${OFF} 43\\d{4}\\.?`));
  });
});
