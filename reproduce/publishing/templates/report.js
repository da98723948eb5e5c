"use strict";
// Charts are drawn when they are first seen: a page may have a hundred.
(function () {
  const config = { displayModeBar: false };
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Charts of claims have the page's colours; those of figures a white ground.
  function themed(box) {
    if (box.closest(".hover")) return { paper_bgcolor: "#fff", plot_bgcolor: "#fff" };
    const line = color("--line");
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": color("--ink"),
      "xaxis.gridcolor": line,
      "xaxis.zerolinecolor": color("--soft"),
      "yaxis.gridcolor": line,
    };
  }

  function draw(box) {
    if (box.dataset.drawn) return;
    box.dataset.drawn = "yes";
    const spec = JSON.parse(box.querySelector("script").textContent);
    const isWide = !box.closest(".hover");
    Plotly.newPlot(box, spec.data, spec.layout, { ...config, responsive: isWide })
      .then(() => Plotly.relayout(box, themed(box)));
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "200px" });
  document.querySelectorAll(".chart").forEach((box) => seen.observe(box));
  scheme.addEventListener("change", () => {
    document.querySelectorAll(".chart[data-drawn]").forEach((box) => Plotly.relayout(box, themed(box)));
  });

  // A link into something closed opens it.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    if (target) target.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  open();
})();
