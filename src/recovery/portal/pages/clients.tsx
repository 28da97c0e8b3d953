import { may } from '../../roles.js';
import type { ManagementPointLine, PendingClientLine } from '../../services.js';
import { Badge, Notice } from '../parts/badge.js';
import { PostForm, Submit } from '../parts/form.js';
import { OutcomeNotice, type Outcome } from '../parts/outcome.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Facts, Table } from '../parts/table.js';
import { sentence } from '../parts/sentence.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';

/** Registrations that wait for an operator. */
export function PendingClientsPage({
  frame,
  clients,
  outcome,
}: {
  readonly frame: Frame;
  readonly clients: readonly PendingClientLine[];
  readonly outcome: Outcome;
}): View {
  const canDecide = frame.person !== null && may(frame.person, 'client.decide', 'other');
  return (
    <Page frame={frame} title="Pending clients" section="administration">
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/clients"
      />
      <h1>Pending clients</h1>
      <p class="lead">Machines that want to register and wait for your word.</p>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        {clients.length === 0 ? (
          <div class="empty">
            No machine waits. Where <code>MPE_REGISTRATION</code> has <code>approval</code>, machines come
            here that have no enrolment token, or a new key that nothing vouches for.
          </div>
        ) : null}
        {clients.map((client) => (
          <section
            class="panel stack"
            aria-label={client.machineName}
            key={`${client.clientId} ${client.kid}`}
          >
            <h2 class="long-name">
              <bdi>
                {client.domain === '' ? client.machineName : `${client.domain}\\${client.machineName}`}
              </bdi>
            </h2>
            {client.warnings.length === 0 ? null : (
              <Notice tone="warn" title="Look twice">
                <ul class="tip-list">
                  {client.warnings.map((warning) => (
                    <li key={warning}>{warning}</li>
                  ))}
                </ul>
              </Notice>
            )}
            <Facts
              facts={[
                ['Client id', <span class="code">{client.clientId}</span>],
                ['Key', <span class="code">{client.kid}</span>],
                client.hardwareId === ''
                  ? null
                  : ['Hardware id', <span class="code">{client.hardwareId}</span>],
                ['First asked', <When atMs={client.firstAskedAtMs} />],
                ['Last asked', <When atMs={client.lastAskedAtMs} />],
              ]}
            />
            {canDecide ? <Decision client={client} csrf={frame.csrf} /> : null}
          </section>
        ))}
      </div>
    </Page>
  );
}

function Decision({ client, csrf }: { readonly client: PendingClientLine; readonly csrf: string }): View {
  const id = `tag-${client.clientId}-${client.kid}`;
  const named = <span class="hidden-text"> {client.machineName}</span>;
  return (
    <PostForm action="/administration/clients" csrf={csrf}>
      <input type="hidden" name="client" value={client.clientId} />
      <input type="hidden" name="kid" value={client.kid} />
      <div class="field">
        <label for={id}>
          Tag<span class="optional"> (optional)</span>
        </label>
        <input id={id} name="tag" type="text" maxlength={64} autocomplete="off" />
      </div>
      <div class="row">
        <button type="submit" name="decision" value="approve" class="button button-main">
          Approve{named}
        </button>
        <button type="submit" name="decision" value="reject" class="button button-bad">
          Reject{named}
        </button>
      </div>
    </PostForm>
  );
}

const CHANNELS: Readonly<Record<ManagementPointLine['channel'], string>> = {
  HTTPS: 'HTTPS',
  ENHANCED_HTTP: 'Enhanced HTTP',
  HTTP: 'HTTP',
};

/** Gateways, as management points of the site. */
export function ManagementPointsPage({
  frame,
  points,
}: {
  readonly frame: Frame;
  readonly points: readonly ManagementPointLine[];
}): View {
  return (
    <Page frame={frame} title="Management points" section="administration">
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/management-points"
      />
      <h1>Management points</h1>
      <p class="lead">Every gateway that was started, and whether it has the recovery service.</p>
      <div class="spaced">
        <Table
          caption="Management points"
          rows={points}
          keyOf={(point) => point.id}
          empty="No gateway was ever started with this site."
          columns={[
            { head: 'Name', cell: (point) => <bdi>{point.id}</bdi> },
            { head: 'Address', cell: (point) => <span class="any-break">{point.address}</span> },
            { head: 'Channel', cell: (point) => CHANNELS[point.channel] },
            {
              head: 'Recovery service',
              cell: (point) => (
                <Badge tone={point.service ? 'good' : 'bad'}>{point.service ? 'yes' : 'no'}</Badge>
              ),
            },
            { head: 'Why', cell: (point) => sentence(point.detail) },
            { head: 'First seen', cell: (point) => <When atMs={point.firstSeenAtMs} /> },
            { head: 'Last seen', cell: (point) => <When atMs={point.lastSeenAtMs} /> },
          ]}
        />
      </div>
    </Page>
  );
}

/** A small form in a row of a table. */
export function RowButton({
  action,
  csrf,
  fields,
  label,
  named,
}: {
  readonly action: string;
  readonly csrf: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly label: string;
  /** For screen readers: of what. */
  readonly named: string;
}): View {
  return (
    <PostForm action={action} csrf={csrf} className="row-form">
      {Object.entries(fields).map(([name, value]) => (
        <input type="hidden" name={name} value={value} key={name} />
      ))}
      <Submit tone="plain" small>
        {label}
        <span class="hidden-text"> {named}</span>
      </Submit>
    </PostForm>
  );
}
