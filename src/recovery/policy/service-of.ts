import type { SiteDocument } from '../../protocol/site-document.js';
import type { ManagementPointChannel, ManagementPointRow } from '../../store/policy-store.js';
import type { PolicyRow } from '../../store/site-store.js';

/** What decides whether management points have the recovery service. */
export interface ServiceFacts {
  readonly policies: readonly PolicyRow[];
  readonly siteVersion: string;
  readonly document: Pick<SiteDocument, 'certificateThumbprint' | 'plaintextConsent'>;
}

/** Why a management point has no recovery service; null: it has it. */
export type ServiceRefusal =
  /** No policy is deployed: nothing turns the service on. */
  | 'NO_POLICY'
  /** The policies that are deployed only observe. */
  | 'OBSERVES'
  /** Neither a certificate nor consent to plain text. */
  | 'NO_CERTIFICATE'
  /** The site's version takes no escrow, or none over this channel. */
  | 'VERSION_GATE'
  /** Plain HTTP. */
  | 'CHANNEL';

/** The text of each, for people: what is missing and what to do. */
export const SERVICE_REFUSALS: Readonly<Record<ServiceRefusal, string>> = {
  NO_POLICY: 'no policy is deployed; "mpe policy deploy" turns the service on',
  OBSERVES: 'the deployed policies only observe',
  NO_CERTIFICATE: 'the site has neither a certificate nor consent to plain text',
  VERSION_GATE: 'the site version takes escrow through a cloud management gateway alone, or not at all',
  CHANNEL: 'plain HTTP: set MPE_GATEWAY_TLS=on, or name the proxy that ends TLS in MPE_GATEWAY_PROXIES',
};

/** A gateway that was not seen for this long is shown as gone. */
export const POINT_GONE_AFTER_MS = 5 * 60_000;

/** Whether a management point with this channel gets the recovery service: design §7. */
export function serviceRefusal(channel: ManagementPointChannel, facts: ServiceFacts): ServiceRefusal | null {
  const deployed = facts.policies.filter((policy) => policy.state === 'DEPLOYED');
  if (deployed.length === 0) return 'NO_POLICY';
  if (deployed.every((policy) => policy.mode === 'OBSERVE')) return 'OBSERVES';
  const { certificateThumbprint, plaintextConsent } = facts.document;
  if (certificateThumbprint === null && !plaintextConsent) return 'NO_CERTIFICATE';
  const version = Number.parseInt(facts.siteVersion, 10);
  const current = !Number.isFinite(version) || version >= 2103;
  // 2010 escrows through the cloud management gateway, whose connection point needs HTTPS.
  if (!current && (version < 2010 || channel !== 'HTTPS')) return 'VERSION_GATE';
  return channel === 'HTTP' ? 'CHANNEL' : null;
}

/** A management point as it is listed. */
export interface ManagementPointState extends ManagementPointRow {
  readonly service: boolean;
  /** Why not; '' where it has the service. */
  readonly detail: string;
  readonly gone: boolean;
}

/** Management points with what they have. */
export function managementPointStates(
  rows: readonly ManagementPointRow[],
  facts: ServiceFacts,
  nowMs: number,
): ManagementPointState[] {
  return rows.map((row) => {
    const refusal = serviceRefusal(row.channel, facts);
    return {
      ...row,
      service: refusal === null,
      detail: refusal === null ? '' : SERVICE_REFUSALS[refusal],
      gone: row.lastSeenAtMs < nowMs - POINT_GONE_AFTER_MS,
    };
  });
}
