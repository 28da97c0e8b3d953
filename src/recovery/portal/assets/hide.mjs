// Hides a key when its time on the page is over; one may ask for more time before.
const WARN_SECONDS = 20;

export function hideInTime() {
  const place = document.querySelector('[data-hide-after]');
  if (place === null) return;
  const seconds = Number(place.dataset.hideAfter);
  const count = place.querySelector('[data-hide-count]');
  const more = place.querySelector('[data-hide-more]');
  let end = Date.now() + seconds * 1000;
  more.hidden = false;
  more.addEventListener('click', () => {
    end = Date.now() + seconds * 1000;
  });
  const go = () => {
    // Replaced, so that no way leads back to the key.
    document.querySelector('main').replaceChildren();
    location.replace(place.dataset.hidden);
  };
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left <= 0) return go();
    count.textContent = left === 1 ? '1 second' : `${left} seconds`;
    more.classList.toggle('button-main', left <= WARN_SECONDS);
    return undefined;
  };
  setInterval(tick, 1000);
  // A page that the browser kept for “back” shows no key either.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) go();
  });
}
