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
        {recoverable === undefined ? null : <Recoverable line={recoverable} whole={machines} />}
        <section class="panel stack" aria-labelledby="gaps-title">
          <h2 id="gaps-title">What stands in the way</h2>
          <ul class="bar-list">
            {gaps.map((line) => (
              <li key={line.id}>
                <Gap line={line} whole={machines} longest={longest} />
              </li>
            ))}
          </ul>
          <p class="hint">The longest bar is the largest of them; the shares are of all machines.</p>
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

function Gap({
  line,
  whole,
  longest,
}: {
  readonly line: CoverageLine;
  readonly whole: number;
  /** The number whose bar has the full length. */
  readonly longest: number;
}): View {
  return (
    <>
      <BarLine label={capital(line.label)} part={line.machines} whole={whole} longest={longest} tone="bad" />
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
