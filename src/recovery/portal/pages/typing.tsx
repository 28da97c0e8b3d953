import { PostForm, Submit } from '../parts/form.js';
import { Page, type Frame } from '../parts/shell.js';
import { TypingField, type TypingResult } from '../parts/typing.js';
import type { View } from '../parts/view.js';

/** Names the mistyped group of a recovery key by the rule that every group follows. */
export function TypingPage({
  frame,
  result,
}: {
  readonly frame: Frame;
  readonly result: TypingResult | null;
}): View {
  return (
    <Page frame={frame} title="Mistyped group" section="recovery" narrow>
      <p class="crumbs">
        <a href="/helpdesk">Drive recovery</a>
      </p>
      <h1>Find the mistyped group</h1>
      <p class="lead">
        Each of the eight groups follows a rule of its own, so a wrong digit can be found without the key.
      </p>
      <div class="panel spaced">
        <PostForm action="/helpdesk/typing" csrf={frame.csrf}>
          <TypingField result={result} />
          <div class="row" data-without-script>
            <Submit>Find the mistyped group</Submit>
          </div>
        </PostForm>
      </div>
    </Page>
  );
}
