// What the pages do beyond plain HTML; every page works without it.
import { localTimes } from './times.mjs';
import { watchRotation } from './watch.mjs';
import { helpTyping } from './typing.mjs';
import { hideInTime } from './hide.mjs';
import { warnBeforeEnd } from './session.mjs';

localTimes(document);
helpTyping();
watchRotation();
hideInTime();
warnBeforeEnd();

for (const button of document.querySelectorAll('[data-print]')) {
  button.hidden = false;
  button.addEventListener('click', () => window.print());
}
