import type { KeyLine } from '../../services.js';
import { Badge } from './badge.js';
import type { View } from './view.js';
import { When } from './when.js';

const VOLUMES: Readonly<Record<string, string>> = {
  OS: 'Operating system drive',
  FIXED: 'Fixed data drive',
  REMOVABLE: 'Removable drive',
};

/** A kind of volume as people call it. */
export function volumeName(type: string): string {
  return VOLUMES[type.toUpperCase()] ?? 'Drive of unknown type';
}

/** A key ID: the eight digits that recovery screens show stand out. */
export function KeyId({ id }: { readonly id: string }): View {
  const upper = id.toUpperCase();
  return (
    <span class="code key-id">
      <strong>{upper.slice(0, 8)}</strong>
      <wbr />
      {upper.slice(8)}
    </span>
  );
}

/** What is known of a key, in badges. */
export function KeyBadges({ line }: { readonly line: KeyLine }): View {
  const { state } = line;
  return (
    <span class="badges">
      {state.current ? <Badge tone="good">Current</Badge> : null}
      {state.supersededAtMs === null ? null : (
        <Badge tone="quiet">
          Superseded <When atMs={state.supersededAtMs} />
        </Badge>
      )}
      {state.unproven ? <Badge tone="warn">Unproven</Badge> : null}
      {state.conflicting ? <Badge tone="bad">Conflicting passwords</Badge> : null}
      {state.damaged ? <Badge tone="bad">Not readable</Badge> : null}
      {state.exposedAtMs === null ? null : (
        <Badge tone="warn">
          Shown before, <When atMs={state.exposedAtMs} />
        </Badge>
      )}
    </span>
  );
}

/** The machines that hold or held a key; each name by itself, in whatever direction it is written. */
export function Holders({ line }: { readonly line: KeyLine }): View {
  if (line.holders.length === 0) return <>no machine is known to hold it</>;
  return (
    <>
      {line.holders.map(({ clientId, machineName, domain, current }, index) => (
        <span key={clientId}>
          {index === 0 ? '' : ', '}
          <bdi>{domain === '' ? machineName : `${domain}\\${machineName}`}</bdi>
          {current ? '' : ' (formerly)'}
        </span>
      ))}
    </>
  );
}
