/* Light, dark or as the system: applied before the first paint, remembered in this browser under
   the name and in the words of the Django admin. */
'use strict';
{
  const root = document.documentElement;
  root.classList.add('js');

  // Storage may be forbidden; the page then simply follows the system.
  const remembered = () => {
    try {
      return localStorage.getItem('theme') ?? 'auto';
    } catch {
      return 'auto';
    }
  };
  const remember = (theme) => {
    try {
      localStorage.setItem('theme', theme);
    } catch {
      /* It holds for this page. */
    }
  };
  const apply = (theme) => {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll('.themes button')) {
      button.setAttribute('aria-pressed', String(button.value === theme));
    }
  };

  apply(remembered());
  document.addEventListener('DOMContentLoaded', () => apply(remembered()));
  addEventListener('storage', (event) => event.key === 'theme' && apply(remembered()));
  document.addEventListener('click', (event) => {
    const button = event.target.closest('.themes button');
    if (button) {
      remember(button.value);
      apply(button.value);
    }
  });
}
