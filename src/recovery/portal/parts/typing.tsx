import { Notice } from './badge.js';
import { TextArea } from './form.js';
import type { View } from './view.js';

/** What can be said of what somebody typed: a sentence for each group that cannot be right. */
export interface TypingResult {
  readonly fine: boolean;
  readonly sentences: readonly string[];
}

/** The field and the place of the answer; the script fills it while one types. */
export function TypingField({ result }: { readonly result: TypingResult | null }): View {
  return (
    <div class="stack-tight" data-typing>
      <TextArea
        name="typed"
        label="What the person typed"
        hint="All 48 digits, with or without dashes. Nothing of it is kept."
        code
      />
      <div role="status" data-typing-answer>
        {result === null ? null : <TypingAnswer result={result} />}
      </div>
    </div>
  );
}

function TypingAnswer({ result }: { readonly result: TypingResult }): View {
  if (result.fine)
    return (
      <Notice tone="good" title="Every group can be right">
        All eight groups follow the rule of recovery keys.
      </Notice>
    );
  return (
    <Notice tone="bad" title="Please correct">
      <ul class="tip-list">
        {result.sentences.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </Notice>
  );
}
