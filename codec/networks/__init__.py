"""The networks that code a picture, and the weights files that hold them.

```
pixels (H, W, 3)                                                                   pixels (H, W, 3)
    │ analysis g_a                                                                     ▲ synthesis g_s
    ▼                                                                                  │
latent y (H/16, W/16, N) ── * gain, - mean, rounded ──► symbols ── + mean, / gain ──► latent ŷ
    │ hyper analysis h_a                     ▲             ▲
    ▼                                        │             └── tables by scale index: `entropy.scale_model`, in integers
hyper-latent z (H/64, W/64, Z) ── rounded ── ẑ ──► means: hyper synthesis h_s and context, in floating point
```

Hyperprior: Ballé et al., 2018, arXiv:1802.01436; means: Minnen et al., 2018, arXiv:1809.02736; context: He et al., 2021,
arXiv:2103.15306; gains for every quality: Cui et al., 2021, arXiv:2003.02012; transforms: see `transforms`.
"""
