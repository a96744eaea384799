/* What makes pages livelier that work without it: times that count on, the bar for what is ticked,
   menus, typed confirmations, a key for the search, a question about what is not saved, the field
   that is wrong. It knows no status and no rule. */
'use strict';
{
  /* Times: the same words as the server's, rounded down. */
  const since = (seconds) => {
    for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return `${Math.max(0, Math.floor(seconds))} s`;
  };
  const showTimes = () => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll('time[data-since]')) {
      const text = since((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(showTimes, 1000);

  /* The bar for what is ticked. Each row says in data-actions what it allows; the bar offers
     what all of them do. */
  let last = null;

  const boxesOf = (form) => [...form.elements].filter((box) => 'actions' in box.dataset);
  const showBar = (form) => {
    const boxes = boxesOf(form);
    const ticked = boxes.filter((box) => box.checked);
    const allowed = ticked.map((box) => new Set(box.dataset.actions.split(' ')));
    let offered = 0;
    for (const button of form.querySelectorAll('button[name=action]')) {
      button.hidden = !ticked.length || !allowed.every((actions) => actions.has(button.value));
      offered += !button.hidden;
    }
    form.querySelector('[data-bulk-count]').textContent = ticked.length;
    form.querySelector('[data-bulk-idle]').hidden = ticked.length > 0;
    form.querySelector('[data-bulk-none]').hidden = !ticked.length || offered > 0;
    for (const all of document.querySelectorAll(`[data-tick-all="${form.id}"]`)) {
      all.checked = boxes.length > 0 && ticked.length === boxes.length;
      all.indeterminate = ticked.length > 0 && ticked.length < boxes.length;
    }
  };
  const tick = (boxes, checked) => {
    for (const box of boxes) {
      if (box.disabled || box.checked === checked) continue;
      box.checked = checked;
      box.dispatchEvent(new Event('input', { bubbles: true }));
    }
  };

  document.addEventListener('click', (event) => {
    const box = event.target;
    if (box.dataset?.tickAll) {
      tick(boxesOf(document.getElementById(box.dataset.tickAll)), box.checked);
    } else if (box.form?.matches('[data-bulk]') && 'actions' in box.dataset) {
      const boxes = boxesOf(box.form);
      const ends = [boxes.indexOf(box), boxes.findIndex(({ id }) => id === last)];
      if (event.shiftKey && ends[1] >= 0) {
        tick(boxes.slice(Math.min(...ends), Math.max(...ends) + 1), box.checked);
      }
      last = box.id;
    }
  });

  /* Typed confirmations: the server asks for the same word, this only saves the round trip. */
  const showConfirmation = (field) => {
    for (const button of field.form.querySelectorAll('button:not([type=button])')) {
      button.disabled = field.value.trim() !== field.dataset.mustEqual;
    }
  };

  const showAll = () => {
    showTimes();
    document.querySelectorAll('form[data-bulk]').forEach(showBar);
    document.querySelectorAll('[data-must-equal]').forEach(showConfirmation);
  };
  for (const name of ['input', 'change', 'htmx:afterSwap']) document.addEventListener(name, showAll);
  // A browser that goes back fills in what was ticked and typed after this has run.
  addEventListener('pageshow', showAll);
  showAll();

  // Said where somebody ticks, not where a poll brings the bar anew.
  document.addEventListener('input', ({ target }) => {
    const says = target.form?.querySelector('[data-bulk-says]');
    if (says) document.getElementById('announcer').textContent = says.textContent;
  });

  /* Menus close like menus do. */
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll('details.menu[open]')) {
      if (!menu.contains(except)) menu.open = false;
    }
  };
  for (const name of ['pointerdown', 'focusin']) {
    document.addEventListener(name, (event) => closeMenus(event.target));
  }

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      const menu = event.target.closest('details.menu[open]');
      closeMenus(null);
      menu?.querySelector('summary').focus();
    }
    const typing = event.target.closest('input, select, textarea, dialog, [contenteditable]');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector('input[type=search]');
      if (search) {
        event.preventDefault();
        search.select();
        search.focus();
      }
    }
  });

  /* A choice among filters is a search of its own. */
  document.addEventListener('change', ({ target }) => {
    if (target.matches('form[data-submit-on-change] select')) target.form.requestSubmit();
  });

  document.addEventListener('click', (event) => {
    event.target.closest('[data-dismiss]')?.closest('.note').remove();
  });

  /* What was typed and is not saved is not left without a question. In data-unsaved the server
     says whether it is unsaved already; a link that says what is lost leads on. */
  let leaves = false;
  const isUnsaved = (form) =>
    form.dataset.unsaved === 'yes' ||
    [...form.elements].some((field) => field.value !== (field.defaultValue ?? field.value));
  document.addEventListener('submit', ({ target }) => { leaves ||= target.matches('[data-unsaved]'); });
  document.addEventListener('click', ({ target }) => { leaves ||= !!target.closest('[data-let-go]'); });
  addEventListener('pageshow', () => { leaves = false; });
  addEventListener('beforeunload', (event) => {
    if (!leaves && [...document.querySelectorAll('[data-unsaved]')].some(isUnsaved)) {
      event.preventDefault();
    }
  });

  /* Correcting begins at the first field that is wrong. */
  document.querySelector('[aria-invalid=true]')?.focus();
}
