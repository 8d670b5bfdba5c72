Synthesize.main()
