// Times in the reader's own zone; UTC stays in the tooltip.
const language = navigator.languages.find((one) => one.startsWith('en')) ?? 'en-GB';
const format = new Intl.DateTimeFormat(language, {
  dateStyle: 'medium',
  timeStyle: 'short',
});

export function localTimes(root) {
  for (const time of root.querySelectorAll('time[data-local]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = format.format(at);
  }
}
