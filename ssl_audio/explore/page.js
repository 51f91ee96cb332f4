(() => {
const $ = id => document.getElementById(id), D = JSON.parse($('data').textContent);
const plot = $('plot'), stage = $('stage'), tip = $('tip'), ring = $('ring');
const links = $('links'), player = $('player');
const sound = new Audio(); let single = -1;
const fit = () => {  // marks keep their size on a small screen
  const k = Math.min(2.2, Math.max(1, 700 / plot.clientWidth));
  plot.querySelectorAll('defs path').forEach(p => p.setAttribute('transform', 'scale(' + k + ')'));
  ring.setAttribute('r', 11 * k);
};
addEventListener('resize', fit); fit();
const nearest = e => {
  const box = plot.getBoundingClientRect(), k = 1000 / box.width;
  const x = (e.clientX - box.left) * k, y = (e.clientY - box.top) * k;
  let best = -1, least = (22 * k) ** 2;
  D.xy.forEach(([a, b], i) => {
    if (single >= 0 && D.label[i] !== single) return;
    const d = (a - x) ** 2 + (b - y) ** 2;
    if (d < least) { least = d; best = i; }
  });
  return best;
};
const guess = i => D.guess[i] < 0 ? '' : 'predicted ' + D.classes[D.guess[i]]
  + (D.classes[D.guess[i]] === D.labels[D.label[i]] ? ' \u2713' : ' \u2717');
const add = (parent, kind, text) => {
  const e = document.createElement(kind); e.textContent = text; parent.append(e); return e;
};
const mark = i => { ring.setAttribute('cx', D.xy[i][0]); ring.setAttribute('cy', D.xy[i][1]); };
const pick = i => {
  mark(i); links.replaceChildren();
  D.near[i].forEach(j => {
    const l = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    const ends = {x1: D.xy[i][0], y1: D.xy[i][1], x2: D.xy[j][0], y2: D.xy[j][1]};
    Object.entries(ends).forEach(([a, v]) => l.setAttribute(a, v));
    links.append(l);
  });
  player.replaceChildren();
  const line = add(player, 'p', '');
  add(line, 'b', D.name[i]);
  line.append(': ' + D.what + ' ' + D.labels[D.label[i]] + (guess(i) ? ', ' + guess(i) : '')
    + (D.sound[i] ? '' : ' (its sound is not in this page)'));
  const row = add(player, 'div', ''); row.className = 'legend';
  const again = add(row, 'button', '\u25b6 again'); again.onclick = () => play(i);
  const words = add(row, 'span', 'nearest:'); words.className = 'note';
  D.near[i].forEach(j => { const b = add(row, 'button', D.name[j]); b.onclick = () => { pick(j); }; });
  play(i);
};
const play = i => {
  if (!D.sound[i]) return;
  const kind = D.sound[i].startsWith('UklGR') ? 'wav' : 'mpeg';
  sound.src = 'data:audio/' + kind + ';base64,' + D.sound[i];
  sound.play().catch(() => {});
};
plot.addEventListener('pointermove', e => {
  const i = nearest(e);
  if (i < 0) { tip.style.display = 'none'; return; }
  mark(i); tip.replaceChildren(); add(tip, 'b', D.name[i]);
  tip.append(D.what + ' ' + D.labels[D.label[i]] + (guess(i) ? ', ' + guess(i) : ''));
  tip.style.display = 'block';
  const box = stage.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
  tip.style.left = Math.max(4, Math.min(x + 14, box.width - tip.offsetWidth - 6)) + 'px';
  tip.style.top = (y > tip.offsetHeight + 24 ? y - tip.offsetHeight - 14 : y + 18) + 'px';
});
plot.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
plot.addEventListener('click', e => { const i = nearest(e); if (i >= 0) pick(i); });
$('legend').querySelectorAll('button').forEach(b => b.onclick = () => {
  const c = +b.dataset.c; single = single === c ? -1 : c;
  stage.classList.toggle('single', single >= 0);
  plot.querySelectorAll('g[data-c]').forEach(g => g.classList.toggle('on', +g.dataset.c === single));
  $('legend').querySelectorAll('button').forEach(o =>
    o.setAttribute('aria-pressed', +o.dataset.c === single));
});
})();
