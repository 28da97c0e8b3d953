import type { RotationLine } from '../../services.js';
import { Notice } from '../parts/badge.js';
import { rotationEnded, RotationState } from '../parts/rotation.js';
import { Page, type Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** Seconds after which the page renews itself where no script runs. */
const RENEW_SECONDS = 15;

/** How the rotation of a shown key stands; also where a page goes that hid its key. */
export function RotationPage({
  frame,
  line,
  keyHidden,
}: {
  readonly frame: Frame;
  readonly line: RotationLine | null;
  readonly keyHidden: boolean;
}): View {
  const href = line === null ? '' : `/${frame.portal}/rotation/${line.requestId}`;
  const section = frame.portal === 'helpdesk' ? 'recovery' : 'self-service';
  const again = frame.portal === 'helpdesk' ? '/helpdesk' : '/self-service';
  return (
    <Page
      frame={frame}
      title={keyHidden ? 'Key hidden' : 'New key'}
      section={section}
      narrow
      head={
        line === null || rotationEnded(line.state) ? null : (
          <noscript>
            <meta http-equiv="refresh" content={`${RENEW_SECONDS}; url=${href}`} />
          </noscript>
        )
      }
    >
      <h1>{keyHidden ? 'The key is hidden' : 'A new key for the machine'}</h1>
      <div class="stack spaced">
        {keyHidden ? (
          <Notice tone="quiet" title="Its time on the page is over">
            <a href={again}>Show a key again</a>: that is recorded once more.
          </Notice>
        ) : null}
        {line === null ? null : (
          <section class="panel stack" aria-labelledby="rotation-title">
            <h2 id="rotation-title">{line.machineName}</h2>
            <div data-watch={href} aria-live="polite">
              <RotationState line={line} />
            </div>
            {rotationEnded(line.state) ? null : (
              <p class="small">
                <a href={href}>Show the newest state</a>
              </p>
            )}
          </section>
        )}
      </div>
    </Page>
  );
}
