import type { EndUser, RotationLine, ShownKey, WithheldKey } from '../../services.js';
import { Badge, Notice } from '../parts/badge.js';
import { PostForm, Submit } from '../parts/form.js';
import { KeyGroups, SpokenKey } from '../parts/key-groups.js';
import { KeyId, volumeName } from '../parts/key-state.js';
import { RotationPanel } from '../parts/rotation.js';
import { Page, type Frame } from '../parts/shell.js';
import { Facts } from '../parts/table.js';
import { TypingField } from '../parts/typing.js';
import type { View } from '../parts/view.js';
import { When, whenText } from '../parts/when.js';

/** A key on a page, with what became of it. */
export interface KeyOnPage {
  readonly key: ShownKey;
  readonly rotation: RotationLine | null;
}

/** What the page after a disclosure shows. */
export interface DisclosedProps {
  readonly frame: Frame;
  readonly keys: readonly KeyOnPage[];
  readonly withheld: readonly WithheldKey[];
  readonly auditSequence: string;
  readonly shownAtMs: number;
  readonly reason: string;
  readonly ticket: string;
  readonly endUser: EndUser | null;
  /** The page hides the key after so many seconds. */
  readonly keySeconds: number;
  /** The form field of the key, where a package is stored too. */
  readonly packageOf: string | null;
}

/** Where the page goes when its time is over. */
function hiddenHref(frame: Frame, requestId: string | null): string {
  const query = requestId === null ? '' : `?rotation=${requestId}`;
  return `/${frame.portal}/hidden${query}`;
}

/** The recovery key, in groups and as one says it, until its time is over. */
export function DisclosedPage(props: DisclosedProps): View {
  const { frame, keys, keySeconds } = props;
  const isHelpdesk = frame.portal === 'helpdesk';
  const hidden = hiddenHref(frame, keys[0]?.key.rotationRequestId ?? null);
  return (
    <Page
      frame={frame}
      title="Recovery key"
      section={isHelpdesk ? 'recovery' : 'self-service'}
      head={
        <noscript>
          <meta http-equiv="refresh" content={`${keySeconds}; url=${hidden}`} />
        </noscript>
      }
    >
      <h1>{keys.length === 1 ? 'Recovery key' : `${keys.length} recovery keys`}</h1>
      <p class="lead no-print" data-hide-after={String(keySeconds)} data-hidden={hidden}>
        {isHelpdesk
          ? 'Read it out group by group and let the person repeat each. '
          : 'Type it on the machine that asks for it. '}
        It is hidden after <span data-hide-count>{keySeconds} seconds</span>.{' '}
        <button type="button" class="button button-small" data-hide-more hidden>
          Show it longer
        </button>
      </p>
      {keys.length > 1 ? <SeveralNotice keys={keys} /> : null}
      <div class="stack spaced">
        {keys.map((one) => (
          <KeySheet one={one} props={props} key={`${one.key.keyId} ${String(one.key.volumeId)}`} />
        ))}
        {props.withheld.length === 0 ? null : <Withheld keys={props.withheld} />}
      </div>
    </Page>
  );
}

function SeveralNotice({ keys }: { readonly keys: readonly KeyOnPage[] }): View {
  return keys.some(({ key }) => key.conflicting) ? (
    <Notice tone="warn" title="Different passwords are stored for this key ID">
      Try them in this order. Tell an operator which one opened the drive.
    </Notice>
  ) : (
    <Notice tone="quiet" title="The key ID stands for several drives">
      Compare the machine before you read one out.
    </Notice>
  );
}

function KeySheet({ one, props }: { readonly one: KeyOnPage; readonly props: DisclosedProps }): View {
  const { key, rotation } = one;
  const { frame } = props;
  const password = String(key.value);
  return (
    <div class="two">
      <section class="panel stack" aria-label="The key">
        <KeyGroups password={password} />
        <KeyFacts one={one} props={props} />
        <p class="print-only">
          Whoever has this page opens the drive with it. Destroy it as soon as the machine has a new key.
        </p>
        <details>
          <summary>How to say it</summary>
          <SpokenKey password={password} />
        </details>
        <div class="row no-print">
          <button type="button" class="button" data-print hidden>
            Print
          </button>
          {props.packageOf === null ? null : <PackageForm props={props} choice={props.packageOf} />}
        </div>
      </section>
      <div class="stack">
        {frame.portal === 'helpdesk' ? <TypingPanel frame={frame} /> : null}
        <RotationPanel
          line={rotation}
          href={key.rotationRequestId === null ? null : `/${frame.portal}/rotation/${key.rotationRequestId}`}
        />
      </div>
    </div>
  );
}

function KeyFacts({ one, props }: { readonly one: KeyOnPage; readonly props: DisclosedProps }): View {
  const { key } = one;
  const { endUser, ticket } = props;
  return (
    <Facts
      facts={[
        ['Key ID', <KeyId id={key.keyId} />],
        [
          'Drive',
          <>
            {volumeName(key.volumeType)} <bdi>{key.driveLabel}</bdi>
          </>,
        ],
        ['Machine', key.machines.map(({ name }) => name).join(', ') || 'none is known to hold it'],
        key.state === 'CURRENT'
          ? ['State', <Badge tone="good">Current</Badge>]
          : [
              'State',
              <Badge tone="warn">
                {key.state === 'SUPERSEDED' ? 'Superseded: the machine has a newer key' : 'Not in a report'}
              </Badge>,
            ],
        key.exposedAtMs === null ? null : ['Shown before', <When atMs={key.exposedAtMs} />],
        endUser === null ? null : ['User', `${endUser.domain}\\${endUser.account}`],
        [
          'Reason',
          ticket === '' ? (
            props.reason
          ) : (
            <>
              <bdi>{props.reason}</bdi> (ticket <bdi>{ticket}</bdi>)
            </>
          ),
        ],
        ['Recorded', `${whenText(props.shownAtMs)}, row ${props.auditSequence} of the audit`],
      ]}
    />
  );
}

function PackageForm({ props, choice }: { readonly props: DisclosedProps; readonly choice: string }): View {
  return (
    <PostForm action="/helpdesk/package" csrf={props.frame.csrf} className="package">
      <input type="hidden" name="key" value={choice} />
      <input type="hidden" name="domain" value={props.endUser?.domain ?? ''} />
      <input type="hidden" name="account" value={props.endUser?.account ?? ''} />
      <input type="hidden" name="reason" value={props.reason} />
      <input type="hidden" name="ticket" value={props.ticket} />
      <Submit tone="plain">Download the key package</Submit>
    </PostForm>
  );
}

function TypingPanel({ frame }: { readonly frame: Frame }): View {
  return (
    <section class="panel no-print" aria-labelledby="typing-title">
      <h2 id="typing-title">Does the machine refuse it?</h2>
      <PostForm action="/helpdesk/typing" csrf={frame.csrf}>
        <TypingField result={null} />
        <div class="row" data-without-script>
          <Submit tone="plain">Find the mistyped group</Submit>
        </div>
      </PostForm>
    </section>
  );
}

function Withheld({ keys }: { readonly keys: readonly WithheldKey[] }): View {
  return (
    <Notice tone="warn" title="Not everything can be shown">
      <ul class="tip-list">
        {keys.map((key) => (
          <li key={`${key.keyId} ${String(key.volumeId)}`}>
            <KeyId id={key.keyId} />: {withheldText(key.why)}
          </li>
        ))}
      </ul>
    </Notice>
  );
}

function withheldText(why: WithheldKey['why']): string {
  switch (why) {
    case 'DAMAGED':
      return 'no stored copy can be read; its machine is asked to send it again';
    case 'KEY_VERSION_UNAVAILABLE':
      return 'the certificate that opens it is not on this server; tell an operator';
    case 'NOT_YOURS':
      return 'it belongs to a machine that this user never signed in to';
  }
}
