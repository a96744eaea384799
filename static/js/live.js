/* What htmx needs to keep a page true under somebody's hands: polls, swaps that lose nothing,
   the dialog, and a word when a request fails. It knows no status and no rule. */
'use strict';
{
  const dialog = document.getElementById('dialog');
  const isPoll = (element) => element.matches('[data-poll]');

  /* Polls. They stand back while the tab is hidden and while a person's own request is under
     way; whatever was left out is made up for as soon as it can be. */
  const people = new Set();
  let owed = false;
  let pressed = false;

  const refresh = () => {
    owed = people.size > 0 || document.hidden;
    if (!owed) {
      for (const poll of document.querySelectorAll('[data-poll]')) htmx.trigger(poll, 'refresh');
    }
  };

  // One that hangs, as after a sleep, must not hold up those after it.
  document.addEventListener('htmx:configRequest', ({ detail }) => {
    if (isPoll(detail.elt)) detail.timeout = 15000;
  });
  document.addEventListener('htmx:beforeRequest', (event) => {
    if (isPoll(event.detail.elt) && (document.hidden || people.size > 0)) {
      owed = true;
      event.preventDefault();
    }
  });
  document.addEventListener('htmx:beforeSend', (event) => {
    const { elt, xhr, requestConfig } = event.detail;
    if (isPoll(elt)) return;
    people.add(xhr);
    requestConfig.triggeringEvent?.submitter?.setAttribute('aria-busy', 'true');
    // An answer that left the server before this request would show what no longer holds.
    for (const poll of document.querySelectorAll('[data-poll]')) {
      if (poll.matches('.htmx-request')) owed = true;
      htmx.trigger(poll, 'htmx:abort');
    }
  });
  document.addEventListener('htmx:afterRequest', (event) => {
    const { xhr, requestConfig } = event.detail;
    requestConfig.triggeringEvent?.submitter?.removeAttribute('aria-busy');
    if (people.delete(xhr) && owed) refresh();
  });
  document.addEventListener('refresh', (event) => {
    if (!isPoll(event.target)) refresh();
  });
  document.addEventListener('visibilitychange', () => document.hidden || refresh());
  // A browser that goes back shows the page as it first was, out of its memory or its cache.
  addEventListener('pageshow', (event) => {
    const [{ type }] = performance.getEntriesByType('navigation');
    if (event.persisted || type === 'back_forward') refresh();
    // Where nothing polls, whoever is signed out by now would go on seeing this.
    if (event.persisted && !document.querySelector('[data-poll]')) {
      fetch(location, { method: 'HEAD', redirect: 'manual' })
        .then(({ type }) => { if (type === 'opaqueredirect') location.reload(); }, () => {});
    }
  });
  addEventListener('online', refresh);

  // A swap between pressing and letting go would swallow the click.
  const release = () => {
    if (!pressed) return;
    pressed = false;
    if (owed) setTimeout(refresh);
  };
  addEventListener('pointerdown', () => { pressed = true; }, true);
  for (const name of ['pointerup', 'pointercancel', 'blur']) addEventListener(name, release);
  // Lists that fall open and scroll bars keep the letting go to themselves.
  addEventListener('pointermove', (event) => event.buttons || release());

  /* A swap would take away what somebody is about to copy. Polls stand back from a selection, but
     for no longer than a page at rest takes to ask again, so that one left standing does not make
     the page say for ever what was true once. */
  const SELECTION_MS = 15000;
  let selecting = null;

  const deselect = () => {
    clearTimeout(selecting);
    selecting = null;
  };
  const isSelected = (element) => selecting && getSelection().containsNode(element, true);
  const catchUp = () => {
    deselect();
    if (owed && !pressed) refresh();
  };
  document.addEventListener('selectionchange', () => {
    if (getSelection().isCollapsed) catchUp();
    else selecting ??= setTimeout(catchUp, SELECTION_MS);
  });
  // Whoever goes on to something else wants to see what comes of it.
  document.addEventListener('htmx:beforeSend', ({ detail }) => isPoll(detail.elt) || deselect());

  /* Swaps. What a person ticked, opened, typed or scrolled is found again by its id. */
  const touched = new WeakSet();
  let kept = null;

  document.addEventListener('input', (event) => touched.add(event.target));

  const keep = (target, sender) => {
    const sent = sender.form ?? sender.closest('form');
    const within = (selector) => [...target.querySelectorAll(selector)];
    const focused = target.contains(document.activeElement) ? document.activeElement : null;
    return {
      open: within('details[open][id]').filter((menu) => !menu.contains(sender)),
      fields: within(':is(input:not([type=file]), select, textarea)[id]').filter(
        (field) => touched.has(field) && (!sent || field.form !== sent),
      ),
      scrolled: within(':is(.scroll, textarea)[id]').map(
        ({ id, scrollLeft, scrollTop }) => ({ id, scrollLeft, scrollTop }),
      ),
      focus: focused?.id,
      menu: focused?.closest('details')?.firstElementChild.id,
      caret: [focused?.selectionStart, focused?.selectionEnd, focused?.selectionDirection],
      page: [scrollX, scrollY],
    };
  };
  const restore = ({ open, fields, scrolled, focus, menu, caret, page }) => {
    for (const { id } of open) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    for (const old of fields) {
      const field = document.getElementById(old.id);
      if (!field || field.disabled) continue;
      if ('checked' in old && /checkbox|radio/.test(old.type)) field.checked = old.checked;
      else field.value = old.value;
      touched.add(field);
    }
    for (const { id, scrollLeft, scrollTop } of scrolled) {
      document.getElementById(id)?.scrollTo(scrollLeft, scrollTop);
    }
    scrollTo(...page);
    if (!focus) return;
    const field = document.getElementById(focus);
    const stays = field?.checkVisibility();
    // What was pressed may be gone, as Start is once it boots: go on from the menu that it was in, or
    // from the head of the page.
    const menuOrHead = document.getElementById(menu) ?? document.getElementById('main');
    (stays ? field : menuOrHead).focus({ preventScroll: true });
    // Only fields of text have a caret; the others say null.
    if (stays && caret[0] != null) field.setSelectionRange(...caret);
  };

  document.addEventListener('htmx:beforeSwap', (event) => {
    const { detail } = event;
    if (!detail.shouldSwap) return;
    if (isPoll(detail.requestConfig.elt) && (pressed || isSelected(detail.target))) {
      detail.shouldSwap = false;
      owed = true;
    } else {
      kept = keep(detail.target, detail.requestConfig.elt);
    }
  });
  document.addEventListener('htmx:afterSwap', () => {
    if (kept) restore(kept);
    kept = null;
  });

  /* A change that nobody pressed for is seen, and has to be said to those who do not see it. */
  const told = () => document.querySelector('[data-announce]')?.dataset.announce;
  let announced = told();

  document.addEventListener('htmx:afterSwap', () => {
    const now = told();
    if (now === announced) return;
    announced = now;
    document.getElementById('announcer').textContent = now ?? '';
  });

  /* The dialog. It opens when it gets content, and gives the focus back when it closes: to what
     opened it, or to the menu that this was in. */
  let opener = null;

  document.addEventListener('htmx:afterSwap', (event) => {
    if (event.detail.target !== dialog || !dialog.childElementCount) return;
    if (!dialog.open) {
      const { triggeringEvent, elt } = event.detail.requestConfig;
      opener = triggeringEvent?.submitter ?? elt;
      opener.closest('details.menu')?.removeAttribute('open');
      dialog.showModal();
    }
    dialog.querySelector('[aria-invalid=true]')?.focus();
  });
  document.addEventListener('htmx:afterRequest', ({ detail }) => {
    const over = detail.successful && (detail.xhr.status === 204 || detail.target !== dialog);
    if (over && dialog.contains(detail.elt)) dialog.close();
  });
  dialog.addEventListener('close', () => {
    dialog.replaceChildren();
    const back = opener?.isConnected ? opener : document.getElementById(opener?.id);
    const menu = back?.closest('details')?.firstElementChild;
    const place = back?.checkVisibility() ? back : menu ?? document.getElementById('main');
    place.focus({ preventScroll: place.id === 'main' });
  });
  dialog.addEventListener('pointerdown', (event) => event.target === dialog && dialog.close());
  dialog.addEventListener('click', (event) => {
    if (event.target.closest('[data-close]')) {
      event.preventDefault();
      dialog.close();
    }
  });

  /* Failures. Said once, and taken back by the next request that succeeds; but that a person's
     own click was in vain is not taken back by a poll. */
  let failure = null;

  const takeBack = () => {
    clearTimeout(failure?.timer);
    failure?.note.remove();
    failure = null;
  };
  const say = (kind, poll) => {
    if (failure && poll) return;
    takeBack();
    const note = document.getElementById(`failure-${kind}`).content.firstElementChild.cloneNode(true);
    const show = () => document.getElementById('messages').append(note);
    // A page that is being left loses its polls as well; that is no failure.
    const timer = setTimeout(show, poll ? 1000 : 0);
    failure = { note, timer, lasting: !poll && kind !== 'network' };
  };

  for (const name of ['htmx:sendError', 'htmx:timeout']) {
    document.addEventListener(name, ({ detail }) => say('network', isPoll(detail.elt)));
  }
  document.addEventListener('htmx:responseError', ({ detail }) => {
    say(detail.xhr.status >= 500 ? 'server' : 'refused', isPoll(detail.elt));
  });
  document.addEventListener('htmx:afterRequest', ({ detail }) => {
    if (detail.successful && !(failure?.lasting && isPoll(detail.elt))) takeBack();
  });
}
