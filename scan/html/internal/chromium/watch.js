// Runs in every frame before anything else. Notes what the content security policy reports, which is every script, event
// handler and javascript: address that is run.
(() => {
  const ran = [];
  const listen = () => document.addEventListener('securitypolicyviolation', e => ran.push(e.effectiveDirective + ' ' + e.blockedURI + ' ' + e.sample));
  listen();
  for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) {
    window[name] = () => { ran.push('called ' + name); };
  }
  Object.defineProperty(window, 'assayRan', { get: () => ran });

  const html = 'http://www.w3.org/1999/xhtml';
  const code = /^[\u0000-\u0020]*(j\s*a\s*v\s*a|v\s*b|live|e\s*c\s*m\s*a)\s*s\s*c\s*r\s*i\s*p\s*t\s*:|^[\u0000-\u0020]*mocha\s*:/i;
  const page = /^\s*data:\s*(text\/html|text\/xml|application|image\/svg|;|,)/i;
  const carries = /^(href|xlink:href|src|action|formaction|data|background|poster|srcdoc|to|values|from|folder|lowsrc|dynsrc|codebase)$/;
  const legacy = /expression\s*\(|(^|[^-a-z])(-ms-)?behavior\s*:(?!\s*url\(#default#VML\))|-moz-binding/i;

  const active = document => {
    const found = [];
    const add = (what, detail) => found.push(what + ' ' + String(detail).slice(0, 80));
    const element = e => {
      const n = e.localName;
      if (n === 'script') add('script', e.outerHTML);
      if (/^(iframe|frame|frameset|object|embed|applet|portal|fencedframe)$/.test(n)) add('frame', n);
      if (n === 'base') add('base', e.href);
      if (n === 'meta' && /refresh|set-cookie|security-policy/i.test(e.getAttribute('http-equiv') || '')) add('meta', e.content);
      if (/^(form|input|button|textarea|select|isindex|keygen)$/.test(n)) add('form', n);
      if (n === 'link' && /preconnect|prefetch|preload|prerender|manifest|import/i.test(e.getAttribute('rel') || '')) add('hint', e.href);
      if (e.namespaceURI !== html) add('foreign', n);
      for (const a of e.attributes) {
        const name = a.name.toLowerCase();
        if (/^on/.test(name)) add('handler', name);
        if (carries.test(name) && code.test(a.value)) add('address', a.value);
        if (carries.test(name) && page.test(a.value) && !/^(src|background|poster)$/.test(name)) add('address', a.value);
        if (/^(srcdoc|ping|formaction)$/.test(name)) add('attribute', name);
        if (name === 'style' && legacy.test(a.value)) add('style', a.value);
      }
      if (n === 'style' && legacy.test(e.textContent)) add('style', e.textContent);
    };
    const walk = root => {
      for (const e of root.querySelectorAll('*')) {
        element(e);
        if (e.shadowRoot) walk(e.shadowRoot);
        if (e.content instanceof document.defaultView.DocumentFragment) { add('template', ''); walk(e.content); }
      }
    };
    walk(document);
    return found;
  };

  window.assayInsert = texts => {
    const frames = document.querySelectorAll('iframe');
    texts.forEach((text, i) => {
      const d = frames[i].contentDocument;
      const first = d.createElement('div'), second = d.createElement('div');
      d.body.append(first);
      first.innerHTML = text;
      d.body.append(second);
      second.innerHTML = first.innerHTML;
    });
  };

  // Forgets what ran, and what is in the document; the listeners go with it.
  window.assayOpen = () => {
    ran.length = 0;
    document.open();
    listen();
  };

  window.assayWrite = (texts, insert) => {
    document.querySelectorAll('iframe').forEach((frame, i) => {
      const w = frame.contentWindow, d = frame.contentDocument;
      w.assayOpen();
      d.write(insert ? '<!DOCTYPE html><title>mail</title><body>' : texts[i] || '');
      d.close();
    });
    if (insert) window.assayInsert(texts);
  };

  window.assayLook = async () => {
    await new Promise(r => setTimeout(r, 150));
    return Array.from(document.querySelectorAll('iframe'), f => ({ Ran: f.contentWindow.assayRan, Active: active(f.contentDocument) }));
  };
})();
