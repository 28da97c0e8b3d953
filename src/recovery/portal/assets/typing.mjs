// Names the mistyped group while one types. The rule: six digits, divisible by 11, at most 720885.
// Where the key itself is on the page, groups are compared with it too. Nothing is sent.
const GROUPS = 8;
const MOST = 720885;

export function helpTyping() {
  for (const place of document.querySelectorAll('[data-typing]')) {
    const field = place.querySelector('textarea');
    const answer = place.querySelector('[data-typing-answer]');
    const form = place.closest('form');
    for (const part of form.querySelectorAll('[data-without-script]')) part.hidden = true;
    field.addEventListener('input', () => tell(answer, judge(field.value, shownGroups())));
  }
}

/** The groups of the key on the page, where one key alone is shown. */
function shownGroups() {
  const groups = [...document.querySelectorAll('[data-group]')].map((group) => group.textContent.trim());
  return groups.length === GROUPS ? groups : null;
}

function judge(text, shown) {
  const parts = text.split(/[^0-9]+/).filter((part) => part !== '');
  const solid = parts.length === 1 && parts[0].length > 6;
  const groups = solid ? parts[0].match(/[0-9]{1,6}/g) : parts;
  const wrong = [];
  groups.slice(0, GROUPS).forEach((group, index) => {
    const last = index === groups.length - 1;
    // The one under the fingers is not judged before it is whole.
    if (group.length < 6 && last) return;
    if (group.length !== 6) wrong.push(`Group ${index + 1} has ${group.length} digits instead of six.`);
    else if (Number(group) % 11 !== 0 || Number(group) > MOST) wrong.push(`Group ${index + 1} is mistyped.`);
    else if (shown !== null && shown[index] !== group)
      wrong.push(`Group ${index + 1} is not that of the key on this page.`);
  });
  if (groups.length > GROUPS) wrong.push('There is more after the eighth group.');
  const whole = groups.length === GROUPS && groups[GROUPS - 1].length === 6;
  return { wrong, whole, groups: groups.length, shown: shown !== null };
}

function tell(answer, { wrong, whole, groups, shown }) {
  const notice = document.createElement('div');
  if (wrong.length > 0) {
    notice.className = 'notice notice-bad';
    for (const sentence of wrong) notice.append(paragraph(sentence));
  } else if (whole) {
    notice.className = 'notice notice-good';
    notice.append(paragraph(shown ? 'This is the key on this page.' : 'Every group can be right.'));
  } else if (groups > 0) {
    notice.className = 'notice notice-quiet';
    notice.append(paragraph('Right so far.'));
  } else {
    answer.replaceChildren();
    return;
  }
  if (answer.textContent !== notice.textContent) answer.replaceChildren(notice);
}

function paragraph(text) {
  const made = document.createElement('p');
  made.textContent = text;
  return made;
}
