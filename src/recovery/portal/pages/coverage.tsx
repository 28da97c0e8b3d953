import type { CoverageLine, CoverageReport } from '../../services.js';
import { Notice } from '../parts/badge.js';
import { BarLine, count, ShareBar, shareText } from '../parts/bars.js';
import { capital } from '../parts/sentence.js';
import { Page, type Frame } from '../parts/shell.js';
import { REPORT_PAGES, SubNav } from '../parts/sub-nav.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';

/** How much of the fleet could be recovered today, and what stands in the way. */
export function CoveragePage({
  frame,
  report,
}: {
  readonly frame: Frame;
  readonly report: CoverageReport;
}): View {
  const { machines, imported } = report.denominator;
  const recoverable = report.lines.find(({ id }) => id === 'recoverable');
  const gaps = report.lines.filter(({ id }) => id !== 'recoverable');
  const longest = Math.max(1, ...gaps.map((line) => line.machines));
  return (
    <Page frame={frame} title="Coverage" section="reports">
      <SubNav label="Reports" pages={REPORT_PAGES} person={frame.person} here="/reports/coverage" />
      <h1>Coverage</h1>
      <p class="lead">
        Of {count(machines)} machines{imported ? ' in the inventory' : ''}, as of <When atMs={report.atMs} />.
      </p>
      <div class="stack spaced">
        {imported ? null : (
          <Notice tone="warn" title="No inventory was imported">
            Only machines that registered are counted, so machines that were never heard of are missing here.
            An operator imports all of them: <code>mpe devices import</code>.
          </Notice>
        )}
        {imported && report.unlisted > 0 ? (
          <Notice tone="warn" title="Machines that the inventory does not know">
            {count(report.unlisted)} registered {report.unlisted === 1 ? 'machine is' : 'machines are'} not in
            the imported inventory and not counted here.
          </Notice>
        ) : null}
        {recoverable === undefined ? null : <Recoverable line={recoverable} whole={machines} />}
        <section class="panel stack" aria-labelledby="gaps-title">
          <h2 id="gaps-title">What stands in the way</h2>
          <ul class="bar-list">
            {gaps.map((line) => (
              <li key={line.id}>
                <Gap
                  line={line}
                  whole={machines}
                  longest={longest}
                  note={line.id === 'conflict' ? managersText(report.managers) : ''}
                />
              </li>
            ))}
          </ul>
          <p class="hint">
            The bars compare these with each other; the numbers beside them are shares of all machines.
          </p>
        </section>
      </div>
    </Page>
  );
}

function Recoverable({ line, whole }: { readonly line: CoverageLine; readonly whole: number }): View {
  return (
    <section class="panel headline" aria-labelledby="recoverable-title">
      <div>
        <h2 id="recoverable-title">{capital(line.label)}</h2>
        <p class="figure-number">{shareText(line.machines, whole)}</p>
      </div>
      <div class="stack-tight">
        <ShareBar part={line.machines} whole={whole} tone="good" />
        <p class="soft">
          {count(line.machines)} of {count(whole)} machines: every drive that they report has a key that can
          be read here.
        </p>
      </div>
    </section>
  );
}

const MANAGERS = {
  MBAM: 'MBAM',
  GROUP_POLICY: 'group policy',
  INTUNE: 'Intune',
} as const satisfies Readonly<Record<keyof CoverageReport['managers'], string>>;

/** Which other managers the conflicts are with, and how many each has. */
function managersText(managers: CoverageReport['managers']): string {
  return (Object.keys(MANAGERS) as (keyof typeof MANAGERS)[])
    .filter((manager) => managers[manager] > 0)
    .map((manager) => `${MANAGERS[manager]} ${count(managers[manager])}`)
    .join(', ');
}

function Gap({
  line,
  whole,
  longest,
  note,
}: {
  readonly line: CoverageLine;
  readonly whole: number;
  /** The number whose bar has the full length. */
  readonly longest: number;
  /** What the number is made of; '' where nothing is to be said. */
  readonly note: string;
}): View {
  return (
    <>
      <BarLine label={capital(line.label)} part={line.machines} whole={whole} longest={longest} tone="bad" />
      {note === '' ? null : <p class="soft small">{note}</p>}
      {line.examples.length === 0 ? null : (
        <details class="small">
          <summary>
            {line.examples.length < line.machines ? `The first ${line.examples.length}` : 'Which'}
            <span class="hidden-text"> of “{line.label}”</span>
          </summary>
          <p class="code">{line.examples.join(', ')}</p>
        </details>
      )}
    </>
  );
}
